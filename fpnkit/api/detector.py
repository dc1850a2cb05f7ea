"""A frozen detector for one image at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fpnkit.api.features import FeaturePyramid, Objects
from fpnkit.api.images import ImageLike, to_rgb
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detector
from fpnkit.detectors.check import Report, check_detector
from fpnkit.detectors.one_image import detections_in, features_of
from fpnkit.detectors.plugin import PluginAdapter, own_name, require_plugin
from fpnkit.pyramid import PyramidSpec


class FrozenDetector:
    """A detector, cut at its feature pyramid: `pyramid` is the sender's half, `detect` the receiver's."""

    def __init__(self, detector: Detector) -> None:
        self.wrapped = detector

    @property
    def name(self) -> str:
        """As in tables."""
        return self.wrapped.name

    @property
    def spec(self) -> PyramidSpec:
        """Levels, channels and strides."""
        return self.wrapped.spec

    @property
    def class_names(self) -> Mapping[int, str]:
        """Class id → name."""
        return self.wrapped.class_names

    def pyramid(self, image: ImageLike) -> FeaturePyramid:
        """A path, a Pillow image, an array (height, width, 3) or a tensor (3, height, width), uint8, → its features."""
        pixels = to_rgb(image)
        features = features_of(self.wrapped, pixels)
        return FeaturePyramid(features.pyramid, features.geometry, pixels)

    def detect(self, features: FeaturePyramid | ImageLike) -> Objects:
        """What is found in features, original or decoded, or in an image."""
        pyramid = features if isinstance(features, FeaturePyramid) else self.pyramid(features)
        found = detections_in(self.wrapped, pyramid.levels, pyramid.geometry)
        names = tuple(self.class_names.get(label, f"class {label}") for label in found.labels.tolist())
        return Objects(found.boxes, found.scores, found.labels, names)

    def __repr__(self) -> str:
        return f"<FrozenDetector {self.name}: {self.spec}; {len(self.class_names)} named classes>"


def plugin_of(detector: FrozenDetector | Any) -> Any:
    """What has the methods of a plugin. Raises `UserError` if it lacks one."""
    plugin = detector.wrapped if isinstance(detector, FrozenDetector) else detector
    require_plugin(plugin)
    return plugin


def frozen(detector: FrozenDetector | Any) -> FrozenDetector:
    """Raises `UserError` for what is no detector."""
    if isinstance(detector, FrozenDetector):
        return detector
    plugin = plugin_of(detector)
    return FrozenDetector(PluginAdapter(plugin, own_name(plugin)))


def check(detector: FrozenDetector | Any, images: Sequence[ImageLike] | None = None) -> Report:
    """Try a detector, as `fpnkit detectors check` does: any object with the methods that a plugin has.

    `images`: default some built-in ones, in which only a detector for them finds anything.
    """
    pixels = (
        [ShapesSet(4, 0)[index].image for index in range(4)] if images is None else [to_rgb(each) for each in images]
    )
    return check_detector(frozen(detector).wrapped, pixels)
