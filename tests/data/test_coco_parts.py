"""Masks and keypoints of a COCO file: what is read, what is refused, and that nobody else pays for them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_tools

from fpnkit.data.coco import CocoSet
from fpnkit.data.labels import Relabeled, match
from fpnkit.errors import DataError
from fpnkit.runs.results import PARTS
from tests.support.labeled_parts import HEIGHT, WIDTH, random_content

TRIANGLE = [1.0, 1.0, 9.0, 1.0, 5.0, 9.0]
SIZE = [HEIGHT, WIDTH]


def points(*known: int) -> list[float]:
    values = np.zeros((17, 3))
    values[list(known)] = 4, 5, 2
    return [float(value) for value in values.ravel()]


def entry(number: int, **more: Any) -> dict[str, Any]:
    values = {"id": number, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8], "area": 30.0}
    return values | {"segmentation": [TRIANGLE], "keypoints": points(0), "num_keypoints": 1} | more


def written(folder: Path, *annotations: dict[str, Any]) -> tuple[Path, Path]:
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "1.png")
    image = {"id": 1, "file_name": "1.png", "height": HEIGHT, "width": WIDTH}
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
    content = {"images": [image], "annotations": annotations, "categories": categories}
    (folder / "set.json").write_text(json.dumps(content))
    return folder, folder / "set.json"


def test_all_ways_to_write_a_mask_mean_what_pycocotools_reads(tmp_path: Path) -> None:
    content = random_content(3)
    for image in content["images"]:
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / image["file_name"])
    (tmp_path / "set.json").write_text(json.dumps(content))
    masks = [mask for sample in CocoSet(tmp_path, tmp_path / "set.json", parts=PARTS) for mask in sample.masks or ()]
    kinds = set()
    for mask, each in zip(masks, content["annotations"], strict=True):
        given = each["segmentation"]
        kinds.add("polygons" if isinstance(given, list) else type(given["counts"]).__name__)
        if isinstance(given, list):
            given = mask_tools.merge(mask_tools.frPyObjects(given, HEIGHT, WIDTH))
        elif isinstance(given["counts"], list):
            given = mask_tools.frPyObjects(given, HEIGHT, WIDTH)
        assert np.array_equal(mask_tools.decode(mask), mask_tools.decode(given))
    assert kinds == {"polygons", "list", "str"}


def test_keypoints_and_areas_stand_beside_the_boxes_they_belong_to(tmp_path: Path) -> None:
    flat = entry(2, bbox=[1, 1, 0, 5], keypoints=points(5), num_keypoints=1)
    images = CocoSet(*written(tmp_path, entry(1), flat, entry(3, keypoints=points(7), area=9.5)), parts=PARTS)
    sample = images[0]
    assert sample.keypoints is not None
    assert sample.areas is not None
    assert sample.masks is not None
    assert (sample.keypoints[:, :, 2] > 0).nonzero().tolist() == [[0, 0], [1, 7]]
    assert sample.areas.tolist() == [30.0, 9.5]
    assert len(sample.masks) == len(sample.boxes) == 2


def test_boxes_alone_are_read_where_nobody_asks(tmp_path: Path) -> None:
    """Also from a file whose masks are broken."""
    images = CocoSet(*written(tmp_path, entry(1, segmentation="none", keypoints=[0])))
    assert images.parts == ()
    assert (images[0].masks, images[0].keypoints, images[0].areas) == (None, None, None)


def test_what_no_annotation_has_is_not_labeled(tmp_path: Path) -> None:
    boxes = {key: value for key, value in entry(1, segmentation=[]).items() if "keypoints" not in key}
    assert CocoSet(*written(tmp_path, boxes), parts=PARTS).parts == ()
    some = CocoSet(*written(tmp_path, entry(1, segmentation=[]), boxes | {"id": 2}), parts=PARTS)
    assert some.parts == ("keypoint",)
    assert some[0].keypoints is not None
    assert (some[0].keypoints[:, :, 2] > 0).any(1).tolist() == [True, False]


def test_objects_left_out_take_their_parts_with_them(tmp_path: Path) -> None:
    dog = entry(1, category_id=2, segmentation=[[1, 1, 3, 1, 2, 3]], keypoints=points(3), area=2.0)
    images = CocoSet(*written(tmp_path, dog, entry(2)), parts=PARTS)
    whole = images[0]
    kept = Relabeled(images, match(images, {7: "person"}, {"dog": None}), {7: "person"})[0]
    assert kept.labels.tolist() == [7]
    assert whole.masks is not None
    assert whole.keypoints is not None
    assert kept.keypoints is not None
    assert kept.areas is not None
    assert kept.masks == whole.masks[1:]
    assert torch.equal(kept.keypoints, whole.keypoints[1:])
    assert kept.areas.tolist() == [30.0]


def test_all_broken_annotations_are_named_in_one_message(tmp_path: Path) -> None:
    compressed = mask_tools.encode(np.asfortranarray(np.ones(SIZE, np.uint8)))["counts"].decode()
    folder, file = written(
        tmp_path,
        entry(1, segmentation=[[1, 1, 2, 2]]),
        entry(2, segmentation=[[1, 1, 2, "x", 3, 3]]),
        entry(3, segmentation={"size": [5, 5], "counts": [25]}),
        entry(4, segmentation={"size": SIZE, "counts": [10, -1, 4791]}),
        entry(5, segmentation={"size": SIZE, "counts": compressed[:-1]}),
        entry(6, segmentation=[]),
        entry(7, keypoints=[1.0, 2.0, 2.0]),
        entry(8, num_keypoints=4),
        entry(9, area=0),
    )
    with pytest.raises(DataError) as error:
        CocoSet(folder, file, parts=PARTS)
    broken = "required compressed counts, found something else"
    assert str(error.value) == (
        f"{file}:\n"
        "  broken segmentations of annotations: 1 (polygons: required x and y of three points or more), "
        "2 (polygons: required lists of numbers), 3 (size: required [60, 80] of the image, found [5, 5]), "
        f"4 (counts: required 4800 pixels in all), 5 (counts: {broken})\n"
        "  annotations without segmentation, which others have: 6\n"
        "  broken keypoints of annotations: 7 (required x, y and visibility of 17 points, found 3 numbers), "
        "8 (required num_keypoints 1 as labeled, found 4), 9 (required the object's area)"
    )
    CocoSet(folder, file)


@pytest.mark.parametrize("counts", ["", "0", "~~", "\x01", "é", "oooooooooooooooooooo0", "1" * 50])
def test_compressed_counts_of_any_kind_are_checked_before_pycocotools_sees_them(counts: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="broken segmentations of annotations: 1 "):
        CocoSet(*written(tmp_path, entry(1, segmentation={"size": SIZE, "counts": counts})), parts=PARTS)
