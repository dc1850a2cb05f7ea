"""What anchors are tried on."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.anchors.boxes import SeenBoxes, see_boxes
from fpnkit.anchors.catalogue import Anchor, Fit, missing_encoders, select
from fpnkit.anchors.hevc import has_av
from fpnkit.anchors.reduced import Reduction, Turn, fit_reduction
from fpnkit.codecs.coder import CoderInput, Received, ReceivedDetections, ReceivedFeatures, ReceivedImage
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detections
from fpnkit.detectors.build import build_detector
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p3", 5, 8), LevelSpec("p5", 7, 32), LevelSpec("p5b", 3, 32)))

needs_av = pytest.mark.skipif(not has_av(), reason='needs PyAV: pip install "fpnkit[hevc]"')


needs_vvc = pytest.mark.skipif(bool(missing_encoders(select(["vvc_input"]))), reason='pip install "fpnkit[vvc]"')
needs_jxl = pytest.mark.skipif(bool(missing_encoders(select(["jxl_input"]))), reason='pip install "fpnkit[jxl]"')
_NEEDS = {"hevc": needs_av, "vvc": needs_vvc, "jxl": needs_jxl}


def with_skips(anchors: list[Anchor]) -> list[object]:
    """Parameters of a test, by name."""
    marks = {anchor.name: [_NEEDS[name] for name in anchor.families if name in _NEEDS] for anchor in anchors}
    return [pytest.param(anchor, id=anchor.name, marks=marks[anchor.name]) for anchor in anchors]


def turned(spec: PyramidSpec) -> Reduction:
    """Orthogonal turns of channels that no image was looked at for."""
    generator = torch.Generator().manual_seed(0)
    turns = {}
    for level in spec.levels:
        axes, _ = torch.linalg.qr(torch.randn(level.channels, level.channels, generator=generator))
        turns[level.name] = Turn(torch.zeros(level.channels), axes.T, axes)
    return Reduction(turns, "turns of no images")


@functools.cache
def detector_fit() -> Reduction:
    """Measured on the built-in detector's features."""
    return fit_reduction(build_detector(ShapesDetector(kind="shapes_fcos")), ShapesSet(4, seed=7))


@functools.cache
def detector_boxes() -> SeenBoxes:
    """What the built-in detector finds."""
    return see_boxes(build_detector(ShapesDetector(kind="shapes_fcos")), ShapesSet(6, seed=7))


def fit_of(spec: PyramidSpec) -> Fit:
    """What was measured on no image of a detector with these levels."""
    return Fit(lambda: turned(spec), lambda: SeenBoxes([], [], (1, 2), "no images"))


DETECTOR_FIT = Fit(detector_fit, detector_boxes)


def image_source(image: Tensor, content: tuple[int, int]) -> CoderInput:
    """For image anchors, which do not look at the pyramid."""
    size = (image.shape[1], image.shape[2])
    return CoderInput(image, Pyramid({}), ImageGeometry(size, content, content))


@functools.cache
def shapes_image(height: int, width: int) -> Tensor:
    """A procedural picture of any size."""
    image = ShapesSet(1)[0].image
    return F.interpolate(image[None].float(), (height, width), mode="bilinear", antialias=True)[0].to(torch.uint8)


def random_source(sizes: dict[str, tuple[int, int]], seed: int = 0) -> CoderInput:
    """A smooth pyramid of `SPEC` with the range of each level at another place."""
    generator = torch.Generator().manual_seed(seed)
    levels = {}
    for number, level in enumerate(SPEC.levels):
        coarse = torch.randn(1, level.channels, 3, 3, generator=generator)
        values = F.interpolate(coarse, sizes[level.name], mode="bilinear") * 10**number - 5
        levels[level.name] = values
    geometry = ImageGeometry(original=(17, 333), content=(33, 60), canvas=(64, 64), offset=(15, 2))
    return CoderInput(torch.zeros(3, 17, 333, dtype=torch.uint8), Pyramid(levels), geometry)


@functools.cache
def detector_source() -> tuple[PyramidSpec, CoderInput]:
    """What the built-in detector makes of a part of a picture of shapes."""
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    image = ShapesSet(1)[0].image[:, :96, :96]
    batch = detector.prepare([image])
    return detector.spec, CoderInput(image, detector.pyramid(batch), batch.geometry[0])


def as_image(received: Received) -> ReceivedImage:
    assert isinstance(received, ReceivedImage)
    return received


def as_features(received: Received) -> ReceivedFeatures:
    assert isinstance(received, ReceivedFeatures)
    return received


def as_detections(received: Received) -> Detections:
    assert isinstance(received, ReceivedDetections)
    return received.detections
