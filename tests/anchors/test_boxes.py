import contextlib
import functools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from fpnkit.anchors import boxes
from fpnkit.anchors.boxes import MOST_BOXES, Boxes, SeenBoxes, see_boxes
from fpnkit.codecs.coder import CoderInput
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detections
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.one_image import detections_in, features_of
from fpnkit.errors import StreamError, UserError
from fpnkit.foundation.varints import varints
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from tests.support.anchor_inputs import as_detections, detector_boxes

NOTHING_SEEN = SeenBoxes([], [], (1, 2, 7), "no images")


def found(*ends: tuple[float, float, float, float], score: float = 0.5, label: int = 1) -> Detections:
    count = len(ends)
    corners = torch.tensor(ends, dtype=torch.float32).reshape(-1, 4)
    return Detections(corners, torch.full((count,), score), torch.full((count,), label))


def source(detections: Detections | None, size: tuple[int, int] = (100, 200)) -> CoderInput:
    image = torch.zeros(3, *size, dtype=torch.uint8)
    return CoderInput(image, Pyramid({}), ImageGeometry(size, size, size), detections)


def sent(detections: Detections, size: tuple[int, int] = (100, 200), quality: int = 1) -> Detections:
    coder = Boxes(quality, NOTHING_SEEN)
    return as_detections(coder.decode(coder.encode(source(detections, size)).data))


@functools.cache
def of_the_detector() -> CoderInput:
    """An image of shapes, and what is found in it."""
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    image = ShapesSet(1, seed=3)[0].image
    features = features_of(detector, image)
    detections = detections_in(detector, features.pyramid, features.geometry)
    assert len(detections.scores) > 5
    return CoderInput(image, features.pyramid, features.geometry, detections)


def test_what_a_detector_finds_comes_back_nearly_the_same() -> None:
    original = of_the_detector().detections
    assert original is not None
    coder = Boxes(1, detector_boxes())
    data = coder.encode(of_the_detector()).data
    back = as_detections(Boxes(50, detector_boxes()).decode(data))
    assert back.labels.tolist() == original.labels.tolist()
    assert (back.scores / original.scores - 1).abs().max() < 0.06
    assert list(back.scores) == sorted(back.scores, reverse=True)
    sides = (original.boxes[:, 2:] - original.boxes[:, :2]).clamp(min=1).repeat(1, 2)
    assert ((back.boxes - original.boxes).abs() / sides).max() < 0.02
    assert len(data) < 6 * len(back.scores)


def test_only_scores_from_the_quality_on_are_sent() -> None:
    original = of_the_detector().detections
    assert original is not None
    sizes = []
    for quality in (1, 20, 60):
        coder = Boxes(quality, detector_boxes())
        data = coder.encode(of_the_detector()).data
        back = as_detections(coder.decode(data))
        assert len(back.scores) == (original.scores >= quality / 100).sum()
        sizes.append(len(data))
    assert sizes[0] > sizes[1] > sizes[2]


def test_frequencies_of_training_images_save_bytes() -> None:
    fitted, even = (len(Boxes(5, seen).encode(of_the_detector()).data) for seen in (detector_boxes(), NOTHING_SEEN))
    assert fitted < 0.8 * even


def test_a_class_that_comes_again_costs_less() -> None:
    places = [(float(x), 10.0, x + 20.0, 40.0) for x in range(0, 160, 4)]
    mixed = found(*places)
    labels = torch.tensor([1, 2, 7, 1] * 10)
    same, other = (Boxes(1, NOTHING_SEEN).encode(source(each)).data for each in (mixed, replace(mixed, labels=labels)))
    assert len(same) < len(other)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (37, 2), (333, 501), (65535, 1)])
def test_pictures_of_any_size_have_their_boxes_inside(size: tuple[int, int]) -> None:
    height, width = size
    whole = (0.0, 0.0, float(width), float(height))
    corner = (0.7 * width, 0.5 * height, float(width), float(height))
    outside = (-0.5 * width, 0.2 * height, 0.5 * width, 1.5 * height)
    back = sent(found(whole, corner, outside), size)
    assert back.boxes[0].tolist() == list(whole)
    assert back.boxes.min() >= 0
    assert (back.boxes[:, 2] <= width + 1e-3).all()
    assert (back.boxes[:, 3] <= height + 1e-3).all()
    sides = torch.tensor([max(0.3 * width, 1), max(0.5 * height, 1)] * 2)
    assert ((back.boxes[1] - torch.tensor(corner)).abs() <= 0.02 * sides + (1 if min(size) < 3 else 0)).all()


@limits(max_examples=50)
@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), max_size=5), st.integers(1, 2000), st.integers(1, 2000))
def test_any_boxes_come_back_within_two_percent_or_a_pixel(
    corners: list[tuple[float, float, float, float]], height: int, width: int
) -> None:
    ends = [(min(a, c) * width, min(b, d) * height, max(a, c) * width, max(b, d) * height) for a, b, c, d in corners]
    back = sent(found(*ends), (height, width))
    original = torch.tensor(ends).reshape(-1, 4)
    sides = (original[:, 2:] - original[:, :2]).repeat(1, 2)
    assert back.boxes.shape == original.shape
    assert ((back.boxes - original).abs() <= 0.02 * sides + 1).all()


def test_an_image_without_detections_costs_its_size_and_little_more() -> None:
    for detections in (found(), found((0, 0, 9, 9), score=0.1)):
        data = Boxes(30, detector_boxes()).encode(source(detections)).data
        assert data.startswith(b"\x1e" + varints(100, 200))
        assert len(data) <= 1 + len(varints(100, 200)) + 2
        back = as_detections(Boxes(30, detector_boxes()).decode(data))
        assert (back.boxes.shape, back.scores.shape, back.labels.shape) == ((0, 4), (0,), (0,))
        assert back.labels.dtype == torch.int64


@pytest.mark.parametrize("label", [0, 3, 90, 2**31 - 1])
def test_a_class_that_was_never_seen_comes_back(label: int) -> None:
    assert sent(found((1, 2, 30, 40), (5, 2, 30, 40), label=label)).labels.tolist() == [label] * 2


def test_more_boxes_than_a_file_holds_leave_out_the_worst() -> None:
    many = found(*[(float(x % 150), 10.0, x % 150 + 20.0, 40.0) for x in range(MOST_BOXES + 5)])
    assert len(sent(many).scores) == MOST_BOXES


def test_encoding_needs_detections_that_are_finite() -> None:
    for detections, told in [
        (None, "the detections on uncompressed features, found none"),
        (found((0, 0, math.nan, 5)), "finite boxes and scores, found NaN or infinity"),
        (found((0, 0, 4, 5), score=math.inf), "finite boxes and scores, found NaN or infinity"),
    ]:
        with pytest.raises(UserError) as caught:
            Boxes(5, NOTHING_SEEN).encode(source(detections))
        assert str(caught.value) == f"boxes: required {told}"


@functools.cache
def coded() -> bytes:
    return Boxes(5, detector_boxes()).encode(of_the_detector()).data


@limits(max_examples=200)
@given(st.data())
def test_a_broken_file_decodes_to_boxes_in_the_image_or_is_a_stream_error(data: st.DataObject) -> None:
    broken = bytearray(coded()[: data.draw(st.integers(0, len(coded())))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(broken) - 1)), max_size=4)):
        broken[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
    with contextlib.suppress(StreamError):
        back = as_detections(Boxes(5, detector_boxes()).decode(bytes(broken)))
        assert back.boxes.isfinite().all()
        assert back.boxes.min() >= 0 if len(back.boxes) else True


@limits(max_examples=200)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_end(noise: bytes) -> None:
    with contextlib.suppress(StreamError):
        back = as_detections(Boxes(5, detector_boxes()).decode(b"\x05\x20\x20" + noise))
        assert len(back.boxes) <= MOST_BOXES


def test_every_cut_and_what_follows_the_end_are_noticed() -> None:
    """By the whole number that must be used up in the end: a chance of one in thousands that it is."""
    whole = coded()
    for changed in (*(whole[:length] for length in range(len(whole))), whole + b"\0", whole + b"ab"):
        with pytest.raises(StreamError):
            Boxes(5, detector_boxes()).decode(changed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stream: required 1 more bytes, found 0; the file is cut off"),
        (b"\x00\x01\x01\x05", "stream: required a quality from 1 to 99, found 0"),
        (b"\x64\x01\x01\x05", "stream: required a quality from 1 to 99, found 100"),
        (b"\x05\x00\x01\x05", "stream: required sides from 1 to 65535, found 0 x 1"),
        (b"\x05\x09\x09", "stream: required symbols, found none"),
        (b"\x05\x09\x09\x00\x07", "stream: required symbols, found a leading zero"),
    ],
)
def test_what_is_no_file_of_boxes_is_one_clear_error(data: bytes, message: str) -> None:
    with pytest.raises(StreamError) as caught:
        Boxes(5, NOTHING_SEEN).decode(data)
    assert str(caught.value) == message


def test_a_box_larger_than_the_image_is_refused() -> None:
    data = Boxes(99, NOTHING_SEEN).encode(source(found((3, 3, 4, 4), score=1.0), (4000, 4000))).data
    payload = data.removeprefix(b"\x63" + varints(4000, 4000))
    with pytest.raises(StreamError) as caught:
        Boxes(99, NOTHING_SEEN).decode(b"\x63\x08\x08" + payload)
    assert str(caught.value) == "stream: required boxes within the image, found another"


def test_more_boxes_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = found(*[(float(x % 150), 10.0, x % 150 + 20.0, 40.0) for x in range(MOST_BOXES + 1)])
    with monkeypatch.context() as patch:
        patch.setattr(boxes, "MOST_BOXES", MOST_BOXES + 1)
        data = Boxes(5, NOTHING_SEEN).encode(source(many)).data
    with pytest.raises(StreamError) as caught:
        Boxes(5, NOTHING_SEEN).decode(data)
    assert str(caught.value) == "stream: required at most 1000 boxes, found more"


def test_other_training_images_are_another_encoder() -> None:
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    names = [Boxes(5, see_boxes(detector, ShapesSet(2, seed=seed))).encoder for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("boxes 1, 64 places, levels of 1.1, frequencies of 2 images of shapes_2_seed_1 ")
    assert see_boxes(detector, ShapesSet(1)).labels == tuple(sorted(detector.class_names))
