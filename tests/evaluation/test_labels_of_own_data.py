"""A labeled set that somebody made for a detector, with the usual mistakes: said before anything is measured."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fpnkit.config.load import plain, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.data.shapes import ShapesSet
from fpnkit.errors import UserError
from fpnkit.evaluation.run import Job, Origin, evaluate
from fpnkit.evaluation.task import Task, build_task
from tests.support.coders import FeatureCoder, config

IMAGES = 4


class OwnData:
    """Four of the built-in images in COCO format; what is written can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "labels.json"
        shapes = ShapesSet(IMAGES, 8)
        self.images, self.annotations = [], []
        for index in range(IMAGES):
            sample = shapes[index]
            Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
            height, width = sample.image.shape[1:]
            self.images.append({"id": index, "file_name": f"{index}.png", "height": height, "width": width})
            for box, label in zip(sample.boxes.tolist(), sample.labels.tolist(), strict=True):
                bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                self.annotations.append({"image_id": index, "category_id": label, "bbox": bbox})
        self.names = {category.id: category.name for category in shapes.categories}

    def write(self, names: dict[int, str], shift: int = 0, scale: float = 1.0) -> None:
        annotations = [
            {**each, "category_id": each["category_id"] + shift, "bbox": [scale * side for side in each["bbox"]]}
            for each in self.annotations
        ]
        categories = [{"id": number + shift, "name": name} for number, name in names.items()]
        content = {"images": self.images, "annotations": annotations, "categories": categories}
        self.file.write_text(json.dumps(content))

    def config(self, labels: dict[str, str | None] | None = None, **options: Any) -> CodecConfig:
        source = {"kind": "coco", "images": str(self.folder), "annotations": str(self.file), **options}
        own = validate(plain(config()) | {"data": {"train": source, "test": source, "labels": labels or {}}})
        assert isinstance(own, CodecConfig)
        return own

    def task(self, labels: dict[str, str | None] | None = None, **options: Any) -> Task:
        return build_task(self.config(labels, **options))


@pytest.fixture
def own(tmp_path: Path, home: Path) -> OwnData:
    (tmp_path / "own").mkdir()
    return OwnData(tmp_path / "own")


def ceiling(task: Task) -> float:
    assert task.reference.ceiling.map is not None
    return task.reference.ceiling.map


def test_ids_of_ones_own_mean_what_their_names_say(own: OwnData, caplog: pytest.LogCaptureFixture) -> None:
    own.write(own.names)
    expected = own.task()
    own.write(own.names, shift=40)
    with caplog.at_level(logging.INFO):
        found = own.task()
    assert ceiling(found) == ceiling(expected) > 0.2
    assert found.key != expected.key
    names = f"labels: {len(own.names)} of {len(own.names)} categories matched with the detector's classes by name"
    assert next(record.getMessage() for record in caplog.records) == names
    assert [each.labels.tolist() for each in found.reference.truth] == [
        each.labels.tolist() for each in expected.reference.truth
    ]


def test_names_of_ones_own_are_translated_or_left_out(own: OwnData) -> None:
    own.write(own.names)
    expected = own.task()
    mine = {number: f"my {name}" for number, name in own.names.items()}
    own.write(mine)
    with pytest.raises(UserError, match="required categories that the detector has, found my "):
        own.task()
    translated: dict[str, str | None] = {f"my {name}": name for name in own.names.values()}
    assert ceiling(own.task(translated)) == ceiling(expected)
    first = next(iter(translated))
    fewer = own.task({**translated, first: None})
    labels = {label for each in fewer.reference.truth for label in each.labels.tolist()}
    assert labels == set(own.names) - {1}
    assert fewer.key != expected.key


def test_a_ceiling_that_cannot_be_stops_before_the_first_codec(own: OwnData) -> None:
    """Boxes of the same images at half the size."""
    own.write(own.names, scale=0.5)
    with pytest.raises(UserError) as error:
        own.task()
    text = str(error.value)
    assert text.startswith("own_labels with shapes_fcos: required mAP of at least 5 without a codec, found ")
    assert text.endswith(
        ". The likeliest reasons: boxes in other units, or of images of another size; categories that mean something "
        "else to the detector; weights or preprocessing of another detector. annotations_check: off beside the "
        "annotations measures all the same"
    )
    assert ceiling(own.task(annotations_check=False)) < 0.05


def test_what_labels_were_taken_for_is_kept_with_the_results(own: OwnData, tmp_path: Path) -> None:
    own.write({**own.names, 1: "thing"}, shift=40)
    task = own.task({"thing": None, own.names[2]: own.names[3]})
    (summary,) = evaluate([Job(FeatureCoder(), tmp_path / "out", Origin())], task)
    expected = [{"id": 41, "name": "thing", "class_id": None, "class_name": None}]
    expected += [{"id": 42, "name": own.names[2], "class_id": 3, "class_name": own.names[3]}]
    expected += [
        {"id": 40 + number, "name": name, "class_id": number, "class_name": name}
        for number, name in own.names.items()
        if number > 2
    ]
    kept = json.loads((tmp_path / "out" / "summary.json").read_text())["labels"]
    assert kept == {"by": "name", "categories": expected}
    assert summary.labels == task.labels
    count = len(own.names)
    assert task.labels is not None
    assert task.labels.describe() == (
        f"{count - 1} of {count} categories matched with the detector's classes by name; "
        f"{own.names[2]} is {own.names[3]}; left out: thing"
    )


def test_a_set_without_labels_has_no_matching(own: OwnData, tmp_path: Path) -> None:
    folder = {"kind": "folder", "images": str(own.folder)}
    unlabeled = validate(plain(config()) | {"data": {"train": folder, "test": folder}})
    assert isinstance(unlabeled, CodecConfig)
    (summary,) = evaluate([Job(FeatureCoder(), tmp_path / "out", Origin())], build_task(unlabeled))
    assert summary.labels is None
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["labels"] is None
