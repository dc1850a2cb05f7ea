"""Labels that can hardly be right are said so before anything long starts."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fpnkit.data.coco import CocoSet
from fpnkit.errors import DataError

COUNT = 60  # images of 80 x 60 pixels, a box each
LIFTED = "\n  where this is meant so, annotations_check: off beside the annotations accepts it"


def boxes() -> list[list[float]]:
    return [[10, 5, 20 + number % 20, 30] for number in range(COUNT)]


class Labels:
    """A JSON file that can be written with other boxes, images or annotations."""

    def __init__(self, folder: Path) -> None:
        self.images, self.file = folder / "images", folder / "labels.json"
        self.images.mkdir()
        Image.new("RGB", (80, 60)).save(self.images / "1.png")

    def write(
        self, bboxes: list[list[float]], image: dict[str, Any] | None = None, ids: list[int] | None = None
    ) -> None:
        sizes = {"height": 60, "width": 80} | (image or {})
        images = [{"id": number, "file_name": "1.png", **sizes} for number in range(COUNT)]
        annotations = [
            {"id": number if ids is None else ids[number], "image_id": number, "category_id": 1, "bbox": bbox}
            for number, bbox in enumerate(bboxes)
        ]
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
        self.file.write_text(json.dumps(content))

    def refused(self) -> str:
        with pytest.raises(DataError) as error:
            CocoSet(self.images, self.file)
        return str(error.value).removeprefix(f"{self.file}:\n  ")

    def read(self, caplog: pytest.LogCaptureFixture, *, strict: bool = True) -> list[str]:
        """What is warned of."""
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            CocoSet(self.images, self.file, strict=strict)
        return [record.getMessage().removeprefix(f"{self.file}: ") for record in caplog.records]


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    return Labels(tmp_path)


def test_labels_as_they_should_be_are_read_without_a_word(labels: Labels, caplog: pytest.LogCaptureFixture) -> None:
    labels.write(boxes())
    assert labels.read(caplog) == []
    labels.write([[0, 0, 80.9, 60.4], *boxes()[1:]])
    assert labels.read(caplog) == [], "rounded to the next pixel"


def test_corners_in_place_of_sizes_are_refused(labels: Labels, caplog: pytest.LogCaptureFixture) -> None:
    labels.write([[30, 20, 79, 59] for _ in range(COUNT)])
    text = (
        "boxes that leave their image: 60 of 60, the first is [30, 20, 79, 59] in an image of 80 x 60; "
        "they look like left, top, right, bottom, required are left, top, width, height"
    )
    assert labels.refused() == text + LIFTED
    assert labels.read(caplog, strict=False) == [text]


def test_few_boxes_that_leave_their_image_are_a_warning(labels: Labels, caplog: pytest.LogCaptureFixture) -> None:
    labels.write([*boxes()[:-1], [70, 5, 40, 20]])
    text = "boxes that leave their image: 1 of 60, the first is [70, 5, 40, 20] in an image of 80 x 60"
    assert labels.read(caplog) == [text]
    labels.write([*boxes()[:-2], [70, 5, 40, 20], [-3, 5, 40, 20]])
    assert labels.refused() == text.replace("1 of 60", "2 of 60") + LIFTED


def test_fractions_in_place_of_pixels_are_refused(labels: Labels) -> None:
    labels.write([[0.1, 0.2, 0.5, 0.25] for _ in range(COUNT)])
    assert labels.refused() == (
        "boxes: required pixels, found nothing but numbers from 0 to 1, such as [0.1, 0.2, 0.5, 0.25]; "
        "fractions of the image have to be multiplied by its width and height" + LIFTED
    )


def test_sets_without_boxes_are_refused_and_mostly_empty_ones_a_warning(
    labels: Labels, caplog: pytest.LogCaptureFixture
) -> None:
    labels.write([])
    assert labels.refused() == (
        "boxes: required at least one, found none; a set without labels is `kind: folder`" + LIFTED
    )
    labels.file.write_text(json.dumps({**json.loads(labels.file.read_text()), "categories": []}))
    assert labels.read(caplog) == [], "no categories: nothing was meant to be labeled"
    labels.write(boxes()[:29])
    assert labels.read(caplog) == ["images without any box: 31 of 60"]
    labels.write(boxes()[:30])
    assert labels.read(caplog) == []


def test_boxes_of_no_area_and_repeated_ids(labels: Labels, caplog: pytest.LogCaptureFixture) -> None:
    labels.write([[1, 2, 0, 5], *boxes()[1:]])
    assert labels.read(caplog) == ["boxes of no area left out: [1.0, 2.0, 0.0, 5.0]"]
    labels.write([[1, 2, 0, 5]] * 3 + boxes()[3:])
    assert labels.refused() == "boxes of no area left out: " + ", ".join(["[1.0, 2.0, 0.0, 5.0]"] * 3) + LIFTED
    labels.write(boxes(), ids=[5] * COUNT)
    assert labels.refused() == "annotation ids that occur twice: 5" + LIFTED


def test_what_cannot_be_is_refused_whatever_is_accepted(labels: Labels) -> None:
    labels.write(boxes(), {"height": 0})
    text = "images of impossible size: " + ", ".join(["1.png of 80 x 0"] * 5) + ", … (60 in all)"
    assert labels.refused().splitlines()[0] == text
    for name in ("../1.png", "/etc/1.png", "a\\..\\..\\1.png"):
        labels.write(boxes(), {"file_name": name})
        text = "file names that lead out of the folder: " + ", ".join([name] * 5) + ", … (60 in all)"
        assert labels.refused().splitlines()[0] == text
        with pytest.raises(DataError):
            CocoSet(labels.images, labels.file, strict=False)
