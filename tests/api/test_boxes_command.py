"""`python -m fpnkit.boxes`: from files to boxes."""

import json
from pathlib import Path

import pytest
from PIL import Image

import fpnkit as fk
from fpnkit import boxes
from fpnkit.data.shapes import ShapesSet
from tests.support.curve_run import copy_run


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two files, and the run that made them."""
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = fk.run(copy_run(tmp_path / "checkpoints" / "fpn_compression").name)
    files = []
    for index in range(2):
        image = ShapesSet(2, 3)[index].image
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(f"{index}.png")
        files.append(tmp_path / f"{index}.fpn")
        files[-1].write_bytes(run.codec().encode(run.detector().pyramid(image), 2))
    return files


def test_files_become_results_in_coco_format(coded: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert boxes.main(["run_", *map(str, coded), "-o", "found.json"]) == 0
    run = fk.run("run_")
    expected = [run.detector().detect(run.codec().decode(path.read_bytes())) for path in coded]
    entries = json.loads(Path("found.json").read_text())
    assert [entry["image_id"] for entry in entries] == [0] * len(expected[0]) + [1] * len(expected[1])
    assert [entry["category"] for entry in entries] == [*expected[0].names, *expected[1].names]
    first, box = entries[0], expected[0].boxes[0].tolist()
    assert first["bbox"] == [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    assert first["score"] == expected[0].scores[0].item()
    assert (first["file_name"], first["category_id"]) == ("0.fpn", expected[0].labels[0].item())
    assert capsys.readouterr().out.splitlines()[-1] == "found.json"


def test_one_file_becomes_a_picture(coded: list[Path]) -> None:
    for more in ([], ["--image", "0.png"]):
        assert boxes.main(["run_", str(coded[0]), "-o", "found.png", *more]) == 0
        with Image.open("found.png") as picture:
            assert picture.width > 400


def test_what_cannot_be_is_refused(coded: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (4, 5)).save("small.png")
    Path("broken.fpn").write_bytes(coded[0].read_bytes()[:-1])
    for arguments, message in (
        (["0.fpn", "-o", "found.txt"], "-o found.txt: required a name that ends with .json or .png, found .txt"),
        (["0.fpn", "-o", "gone/a.json"], "-o gone/a.json: required a directory that exists, found no gone"),
        (["0.fpn", "1.fpn", "-o", "a.png"], "-o a.png: required one FILE for a picture, found 2"),
        (
            ["0.fpn", "-o", "a.png", "--image", "small.png"],
            "--image small.png: required the coded image's 192 x 192 pixels, found 4 x 5",
        ),
    ):
        assert boxes.main(["run_", *arguments]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == f"fpnkit.boxes: {message}"
    assert boxes.main(["run_", "broken.fpn", "-o", "a.json"]) == 2
    assert capsys.readouterr().err.startswith("fpnkit.boxes: broken.fpn: checksum: required ")
    assert not Path("a.json").exists()
