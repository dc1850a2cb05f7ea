import itertools
import json
import logging
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from fpnkit.data.coco import CocoSet
from fpnkit.errors import DataError

NUMBERS = itertools.count(1)


def entry(number, **changes):
    return {"id": number, "file_name": f"{number}.png", "height": 6, "width": 8, **changes}


def annotation(image_id=1, category_id=3, bbox=(1, 2, 3.5, 4), **changes):
    return {"id": next(NUMBERS), "image_id": image_id, "category_id": category_id, "bbox": list(bbox), **changes}


CONTENT = {
    "images": [entry(1), entry(2), entry(7)],
    "annotations": [annotation(7), annotation(1, iscrowd=1), annotation(7, bbox=(0, 0, 8, 6))],
    "categories": [{"id": 3, "name": "cat"}],
}


@pytest.fixture
def write(tmp_path):
    """Write images 1, 2 and 7 and a JSON file with changes; its path."""
    (tmp_path / "images").mkdir()
    for number in (1, 2, 7, 8):  # 8 is listed nowhere
        Image.new("RGB", (8, 6), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")

    def with_changes(**changes):
        (tmp_path / "set.json").write_text(json.dumps({**CONTENT, **changes}))
        return tmp_path / "images", tmp_path / "set.json"

    return with_changes


def message(*arguments):
    with pytest.raises(DataError) as error:
        CocoSet(*arguments)
    return str(error.value)


def test_images_boxes_and_categories_are_those_of_the_file(write):
    images = CocoSet(*write())
    images.check()
    assert [sample.image_id for sample in images] == [1, 2, 7]
    assert [sample.image[0, 0, 0].item() for sample in images] == [1, 2, 7]
    assert torch.equal(images[2].boxes, torch.tensor([[1, 2, 4.5, 6], [0, 0, 8, 6]]))
    assert images[2].labels.tolist() == [3, 3]
    assert images[0].crowd.tolist() == [True]
    assert images[1].boxes.shape == (0, 4)
    assert [(category.id, category.name) for category in images.categories] == [(3, "cat")]
    assert images.size(0) == (6, 8)


def test_reading_twice_gives_the_same_boxes(write):
    images = CocoSet(*write())
    first = images[2].boxes.clone()
    assert torch.equal(images[2].boxes, first)
    assert first.dtype == torch.float32


def test_limit_takes_the_first_images_of_the_file(write):
    images = CocoSet(*write(), limit=2)
    assert [sample.image_id for sample in images] == [1, 2]


@pytest.mark.parametrize(
    ("folder", "file", "name"),
    [
        ("coco-val206", "annotations.json", "coco-val206"),
        ("bccd", "train.json", "bccd_train"),
        ("annotations", "instances_val2017.json", "instances_val2017"),
    ],
)
def test_the_name_says_which_set_it_is(write, tmp_path, folder, file, name):
    images, json_file = write()
    (tmp_path / folder).mkdir()
    path = json_file.rename(tmp_path / folder / file)
    assert CocoSet(images, path).name == name
    assert CocoSet(images, path, limit=2).name == f"{name}_first2"


def test_a_file_that_is_no_coco_file_says_why(write, tmp_path):
    images, file = write()
    missing = tmp_path / "none.json"
    required = "required an annotation file in COCO format, found:"
    assert message(images, missing) == f"{missing}: {required} No such file or directory"
    assert message(images, tmp_path) == f"{tmp_path}: {required} Is a directory"
    file.write_text('{"images": [')
    assert message(images, file) == (
        f"{file}: not in COCO format\n  Invalid JSON: EOF while parsing a list at line 1 column 12"
    )
    file.write_text("[]")
    assert message(images, file) == f"{file}: not in COCO format\n  Input should be an object"


def test_missing_keys_and_wrong_types_are_named_together(write):
    images, file = write(
        images=[entry(1), {"id": 2, "height": 6, "width": 8}, entry("x")],
        annotations=[annotation(), annotation(bbox=[1, 2, 3]), annotation(bbox=["a", 2, 3, 4])],
    )
    content = json.loads(file.read_text())
    del content["categories"]
    file.write_text(json.dumps(content))
    assert message(images, file) == (
        f"{file}: not in COCO format\n"
        "  images[].file_name: Field required; at index 1\n"
        "  images[].id: Input should be a valid integer; at index 2\n"
        "  annotations[].bbox: Field required; at index 1\n"
        "  annotations[].bbox: Input should be a valid number; at index 2\n"
        "  categories: Field required"
    )


def test_all_problems_of_file_and_images_are_named_at_once(write):
    images, file = write(
        images=[entry(1), entry(2, height=5), entry(7), entry(7), *(entry(number) for number in range(10, 18))],
        annotations=[
            *(annotation(number) for number in (99, 1, 98, 99)),
            annotation(category_id=4),
            annotation(bbox=(1, 1, -2, 3)),
            annotation(bbox=(1, 1, float("nan"), 3)),
            annotation(bbox=(1, 1, float("inf"), 3)),
        ],
        categories=[{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}],
    )
    (images / "1.png").write_text("no image")
    assert message(images, file) == (
        f"{file}:\n"
        "  image ids that occur twice: 7\n"
        "  category ids that occur twice: 3\n"
        "  unknown image_id in annotations: 99, 98\n"
        "  unknown category_id in annotations: 4\n"
        "  boxes that are not finite: [1.0, 1.0, nan, 3.0], [1.0, 1.0, inf, 3.0]\n"
        "  boxes of negative size: [1.0, 1.0, -2.0, 3.0]\n"
        f"  missing images: 10.png, 11.png, 12.png, 13.png, 14.png, … (8 in all) in {images}\n"
        "  images that cannot be used: 1.png (not an image of a known format), "
        f"2.png (8 x 6 pixels, required 8 x 5) in {images}"
    )


def test_broken_images_of_a_sound_file_are_named_by_check(write):
    images, file = write()
    found = CocoSet(images, file)
    (images / "2.png").unlink()
    with pytest.raises(DataError) as error:
        found.check()
    assert str(error.value) == f"{file}:\n  missing images: 2.png in {images}"
    found.check([0, 2])


def test_an_empty_set_and_a_wrong_folder_are_named(write, tmp_path):
    images, file = write(images=[], annotations=[])
    assert message(images, file) == f"{file}:\n  images: required at least one, found none"
    images, file = write()
    with pytest.raises(DataError) as error:
        CocoSet(tmp_path / "x", file).check()
    assert str(error.value) == f"{file}:\n  images: required the folder {tmp_path / 'x'}, found none"


def test_boxes_of_no_area_are_left_out_with_a_warning(write, caplog):
    images, file = write(annotations=[annotation(1), annotation(2), annotation(1, bbox=(1, 2, 3, 0))])
    with caplog.at_level(logging.WARNING):
        assert len(CocoSet(images, file)[0].boxes) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: boxes of no area left out: [1.0, 2.0, 3.0, 0.0]"
    ]


@pytest.mark.skipif("FPNKIT_DATA" not in os.environ, reason="FPNKIT_DATA names no folder with real data")
def test_real_coco_images_pass_and_one_truncated_among_them_is_found(tmp_path):
    data = Path(os.environ["FPNKIT_DATA"]) / "coco-val206"
    whole = CocoSet(data / "images", data / "annotations.json")
    whole.check()
    assert (len(whole), len(whole.categories)) == (206, 80)
    assert sum(len(sample.boxes) for sample in whole) == 1786

    for path in sorted((data / "images").iterdir()):
        (tmp_path / path.name).symlink_to(path)
    torn = tmp_path / sorted(path.name for path in tmp_path.iterdir())[7]
    content = torn.read_bytes()
    torn.unlink()
    torn.write_bytes(content[: len(content) - 2000])
    with pytest.raises(DataError) as error:
        CocoSet(tmp_path, data / "annotations.json").check()
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"  images that cannot be used: {torn.name} (")
