"""Images and label files made to do harm: each is one message, before it takes memory or time."""

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fpnkit.data.coco import CocoSet
from fpnkit.data.files import file_problem, read_rgb, read_size
from fpnkit.errors import DataError

LIMIT = "required at most 67,108,864; FPNKIT_MAX_PIXELS in the environment lifts the limit"


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A few kilobytes that are 169 million pixels."""
    path = tmp_path / "images" / "bomb.png"
    path.parent.mkdir()
    Image.new("1", (13_000, 13_000)).save(path)
    assert path.stat().st_size < 30_000
    return path


def labels(folder: Path, *, image: dict[str, Any] | None = None, category: int = 1, **annotation: Any) -> Path:
    images = folder / "images"
    images.mkdir(exist_ok=True)
    Image.new("RGB", (64, 48)).save(images / "ok.jpg")
    entry = {"id": 1, "file_name": "ok.jpg", "height": 48, "width": 64, **(image or {})}
    box = {"id": 1, "image_id": entry["id"], "category_id": category, "bbox": [1, 1, 20, 20], **annotation}
    path = folder / "labels.json"
    path.write_text(
        json.dumps({"images": [entry], "annotations": [box], "categories": [{"id": category, "name": "a"}]})
    )
    return path


def refused(file: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        CocoSet(file.parent / "images", file, **options).check()
    return str(error.value).removeprefix(f"{file}:\n  ")


def test_an_image_of_too_many_pixels_is_refused_by_its_header(bomb: Path, tmp_path: Path) -> None:
    told = f"13000 x 13000 pixels, {LIMIT}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert file_problem(bomb) == told
    with pytest.raises(DataError) as error:
        read_rgb(bomb, upright=True)
    assert str(error.value) == f"{bomb}: {told}"
    file = labels(tmp_path, image={"file_name": "bomb.png", "height": 13_000, "width": 13_000})
    assert refused(file) == f"images that cannot be used: bomb.png ({told}) in {bomb.parent}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_an_image_of_another_size_than_labeled_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "torn.png"
    Image.new("RGB", (64, 48)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    assert file_problem(path, (5, 5)) == "64 x 48 pixels, required 5 x 5"


def test_the_limit_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (100, 10)).save(path)
    monkeypatch.setenv("FPNKIT_MAX_PIXELS", "999")
    assert file_problem(path) == f"100 x 10 pixels, {LIMIT.replace('67,108,864', '999')}"
    monkeypatch.setenv("FPNKIT_MAX_PIXELS", "1000")
    assert file_problem(path) is None
    monkeypatch.setenv("FPNKIT_MAX_PIXELS", "many")
    with pytest.raises(DataError) as error:
        read_rgb(path, upright=True)
    assert str(error.value) == f"{path}: FPNKIT_MAX_PIXELS: required a number of pixels, found many"


def test_pillows_own_limit_is_not_in_the_way_and_stays_for_others(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_MAX_PIXELS", "200000000")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_size(bomb, upright=True) == (13_000, 13_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(bomb)


def test_a_program_in_place_of_an_image_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "a.png"  # Pillow looks at what is in it, and hands PostScript to Ghostscript
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(x) show\n%%EOF\n")
    assert file_problem(path) == "not an image of a known format"


def test_names_that_are_too_long_are_named_by_their_start(tmp_path: Path) -> None:
    file = labels(tmp_path, image={"file_name": "a" * 5000})
    told = f"images that cannot be used: {'a' * 200}… (5000 characters) (File name too long) in {tmp_path / 'images'}"
    assert refused(file) == told


@pytest.mark.parametrize("name", ["../images/ok.jpg", "/etc/passwd", "..\\ok.jpg", "a/../../ok.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    assert refused(labels(tmp_path, image={"file_name": name})).splitlines()[0] == (
        f"file names that lead out of the folder: {name}"
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"category": 10**30}, f"category ids that are not within 2147483647: {10**30}"),
        ({"category": -(2**31)}, "category ids that are not within 2147483647: -2147483648"),
        ({"image": {"id": 10**30}}, f"image ids that are not within 9223372036854775807: {10**30}"),
        ({"id": 10**30}, f"annotation ids that are not within 9223372036854775807: {10**30}"),
        ({"bbox": [0, 0, 1e300, 1]}, "boxes with numbers that are not within 2147483647: [0.0, 0.0, 1e+300, 1.0]"),
        ({"bbox": [0, 0, 10**400, 1]}, "boxes that are not finite: [0.0, 0.0, inf, 1.0]"),
    ],
)
def test_numbers_beyond_reason_are_refused(wrong: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert refused(labels(tmp_path, **wrong)) == told


def test_the_largest_numbers_are_kept_exactly(tmp_path: Path) -> None:
    file = labels(tmp_path, category=2**31 - 1, image={"id": 2**63 - 1}, iscrowd=10**400)
    sample = CocoSet(tmp_path / "images", file)[0]
    assert (sample.image_id, sample.labels.tolist(), sample.crowd.tolist()) == (2**63 - 1, [2**31 - 1], [True])


@pytest.mark.parametrize(
    ("segmentation", "told"),
    [
        ([[0, 0, 4e8, 0, 4e8, 4e8]], "polygons: required numbers within 65535"),  # pycocotools: 16 GB, then a crash
        ([[0, 0, float("nan"), 0, 4, 4]], "polygons: required numbers within 65535"),
        ([[0, 0, 10**400, 0, 4, 4]], "int too large to convert to float"),
        ({"size": [48, 64], "counts": [10**400]}, "int too large to convert to float"),
    ],
)
def test_masks_beyond_reason_are_refused(segmentation: object, told: str, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    file = labels(tmp_path, segmentation=segmentation)
    assert refused(file, parts=("mask",)) == f"broken segmentations of annotations: 1 ({told})"


def test_a_sound_file_passes(tmp_path: Path) -> None:
    file = labels(tmp_path, segmentation=[[1, 1, 20, 1, 20, 20]])
    found = CocoSet(tmp_path / "images", file)
    found.check()
    assert np.asarray(found[0].image).shape == (3, 48, 64)
