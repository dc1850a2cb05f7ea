import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from fpnkit.bitstream.__main__ import main
from fpnkit.codecs.saved import load_codec
from fpnkit.container import read_file, write
from fpnkit.data.files import read_rgb
from fpnkit.detectors.build import build_detector
from tests.support import warm
from tests.support.coded_run import write_run


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "fpnkit.bitstream", *map(str, arguments)]


def call(*arguments: object) -> int:
    return main(list(map(str, arguments)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_encoded_files_decode_without_the_detector_to_what_the_codec_reconstructs(
    run: Path, images: list[Path], coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lonely = tmp_path / "from_a_colleague"  # nothing but the best model
    lonely.mkdir()
    shutil.copy(run / "best_model.pth", lonely)
    assert call("decode", lonely, *coded, "-o", tmp_path / "features") == 0
    assert names(tmp_path / "features") == ["a.safetensors", "b.safetensors", "c.safetensors"]
    model = load_codec(run / "best_model.pth")
    detector = build_detector(model.config.detector)
    for image, path in zip(images, sorted((tmp_path / "features").iterdir()), strict=True):
        batch = detector.prepare([read_rgb(image, upright=True)])
        with torch.no_grad():
            expected = model.codec(detector.pyramid(batch)).reconstruction
        found = load_file(path)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["fpnkit"])
        geometry = {key: list(value) for key, value in vars(batch.geometry[0]).items()}
        assert about == {"codec": "factorized", "model_hash": model.hash, "geometry": geometry}
    lines = capsys.readouterr().out.splitlines()
    sizes = [path.stat().st_size for path in sorted((tmp_path / "features").iterdir())]
    assert lines == [f"{tmp_path}/features/{n}.safetensors: {s} bytes" for n, s in zip("abc", sizes, strict=True)]


def test_encoding_says_bytes_and_bpp_of_the_original_image(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a" / "b"
    assert call("encode", run.name, images[1], "-o", out, "--base-dir", run.parent) == 0
    size = (out / "b.fpn").stat().st_size
    assert capsys.readouterr().out == f"{out}/b.fpn: {size} bytes, {8 * size / (101 * 90):.4f} bpp\n"


def test_inspect_shows_every_part_and_the_run_without_torch(run: Path, coded: list[Path], tmp_path: Path) -> None:
    code = """
import runpy, sys
sys.argv = ["fpnkit.bitstream", *sys.argv[1:]]
try:
    runpy.run_module("fpnkit.bitstream", run_name="__main__")
except SystemExit as end:
    print("torch" in sys.modules, "compressai" in sys.modules, end.code)
"""
    arguments = ["inspect", *map(str, coded[:2]), "--base-dir", str(run.parent)]
    start = [sys.executable, "-c", code]
    done = subprocess.run([*start, *arguments], capture_output=True, text=True, check=True, timeout=60)
    reports = done.stdout.split("\n\n")
    assert reports[-1].splitlines()[-1] == "False False 0"
    stream, size = read_file(coded[0]), coded[0].stat().st_size
    payloads = [len(payload.data) for payload in stream.payloads]
    header, pixels = size - sum(payloads), 100 * 90
    lines = reports[0].splitlines()
    assert lines[:5] == [
        f"{coded[0]}: {size} bytes, {8 * size / pixels:.4f} bpp",
        "  codec    factorized",
        f"  model    {stream.model_hash}: {run.name}",
        "  image    90 x 100 pixels (height x width)",
        "  canvas   {} x {}, content {} x {} at 0, 0".format(*stream.geometry.canvas, *stream.geometry.content),
    ]
    found = [line.split() for line in lines[5:]]
    levels = load_codec(run / "best_model.pth").codec.spec.names
    assert [row[0] for row in found] == [*levels, "header"]
    assert [row[-6] for row in found] == [str(count) for count in (*payloads, header)]
    assert [row[-2] for row in found] == [f"{8 * count / pixels:.4f}" for count in (*payloads, header)]
    assert [f"{row[1]} x {row[3]}" for row in found[:-1]] == [f"{h} x {w}" for h, w in stream.sizes]


def test_a_reader_that_has_seen_enough_ends_inspect_in_peace(coded: list[Path]) -> None:
    with subprocess.Popen(command("inspect", *coded * 2000), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


def test_inspect_as_json_adds_up(run: Path, coded: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", *coded, "--json", "--base-dir", run.parent) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["file"] for report in reports] == [str(path) for path in coded]
    for report, path in zip(reports, coded, strict=True):
        size = path.stat().st_size
        assert report["bytes"] == size
        assert report["header_bytes"] + sum(level["bytes"] for level in report["levels"]) == size
        assert report["header_bpp"] + sum(level["bpp"] for level in report["levels"]) == pytest.approx(report["bpp"])
        assert report["runs"] == [run.name]
        assert report["original"][0] == 90


def test_a_file_of_an_unknown_model_is_inspected_all_the_same(
    coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("inspect", coded[0], "--base-dir", tmp_path / "none") == 0
    stream = read_file(coded[0])
    expected = f"  model    {stream.model_hash}: no run with this model was found in {tmp_path}/none"
    assert capsys.readouterr().out.splitlines()[2] == expected


def test_inspect_reports_the_good_files_and_says_what_is_wrong_with_each_other_one(
    coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.fpn").touch()
    (tmp_path / "text.fpn").write_text("hello")
    assert call("inspect", tmp_path / "empty.fpn", coded[0], tmp_path / "text.fpn", "--json") == 2
    output = capsys.readouterr()
    assert [report["file"] for report in json.loads(output.out)] == [str(coded[0])]
    assert output.err.splitlines() == [
        f"fpnkit.bitstream: {tmp_path}/empty.fpn: stream: required a coded pyramid, found an empty file",
        f"{tmp_path}/text.fpn: start: required the bytes b'FPN' of a coded pyramid, found b'hel'",
    ]


def test_everything_that_stands_in_the_way_is_said_before_anything_is_made(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, twin = tmp_path / "out", tmp_path / "a.jpg"
    out.mkdir()
    (out / "b.fpn").write_bytes(b"precious")
    twin.touch()
    assert call("encode", run, *images, twin, tmp_path / "none.png", tmp_path, "-o", out) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"fpnkit.bitstream: {out}/b.fpn: exists; nothing is overwritten",
        f"{twin}: would be written to {out}/a.fpn, as {images[0]} would",
        f"{tmp_path}/none.png: required a file, found nothing",
        f"{tmp_path}: required a file, found a directory",
    ]
    assert names(out) == ["b.fpn"]
    assert (out / "b.fpn").read_bytes() == b"precious"


def test_an_output_folder_that_is_a_file_is_refused(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert call("encode", run, images[0], "-o", tmp_path / "file" / "out") == 2
    expected = f"fpnkit.bitstream: {tmp_path}/file/out: required a directory, found the file {tmp_path}/file\n"
    assert capsys.readouterr().err == expected


def test_a_broken_image_is_told_before_the_first_is_coded(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(images[0].read_bytes()[:200])
    assert call("encode", run, images[1], torn, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fpnkit.bitstream: images that cannot be used: {torn} (")
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_model_and_a_run_that_is_not_there_are_refused(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    young = tmp_path / "run_young"
    young.mkdir()
    shutil.copy(run / "config_used.yaml", young)
    assert call("encode", young, images[0], "-o", tmp_path / "out") == 2
    expected = f"run {young}: required best_model.pth, found none; it has not finished an epoch"
    assert capsys.readouterr().err == f"fpnkit.bitstream: {expected}\n"
    assert call("decode", "nothing", images[0], "-o", tmp_path / "out", "--base-dir", tmp_path) == 2
    expected = f"run 'nothing': no run in {tmp_path} has this in its name; did you mean 'run_young'?"
    assert capsys.readouterr().err == f"fpnkit.bitstream: {expected}\n"


def test_files_of_another_model_are_refused_before_anything_is_decoded(
    run: Path, coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_run(tmp_path / "runs", 5)
    assert call("decode", other, *coded, "-o", tmp_path / "out") == 2
    model, found = (load_codec(path / "best_model.pth").hash for path in (run, other))
    expected = f"{coded[0]}: model: required {model}, with which the file was coded, found {found}"
    assert capsys.readouterr().err == f"fpnkit.bitstream: {expected}\n"
    assert not (tmp_path / "out").exists()


def test_another_detector_than_the_run_was_trained_with_is_refused(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    checkpoint = next(other.glob("best_model_epoch_*.pth"))
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "detector_fingerprint": "0123456789"}, checkpoint)
    assert call("encode", other, images[0], "-o", tmp_path / "out") == 2
    found = build_detector(load_codec(checkpoint).config.detector).fingerprint()[:8]
    expected = (
        f"{checkpoint}: required the detector it was trained with (fingerprint 01234567), "
        f"found another one (shapes_fcos, {found})"
    )
    assert capsys.readouterr().err == f"fpnkit.bitstream: {expected}\n"


def test_a_file_that_turns_out_wrong_costs_itself_and_those_after_it_only(
    run: Path, coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its payload is another one's: only the symbols show it."""
    first, second = read_file(coded[0]), read_file(coded[1])
    wrong = tmp_path / "wrong.fpn"
    wrong.write_bytes(write(replace(first, symbols_crc=second.symbols_crc)))
    out = tmp_path / "out"
    assert call("decode", run, coded[0], coded[1], wrong, coded[2], "-o", out) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"fpnkit.bitstream: {wrong}: symbols: required the checksum {second.symbols_crc:08x}, "
        f"found {first.symbols_crc:08x}",
        f"complete are 2 of 4 files: {out}/a.safetensors, {out}/b.safetensors",
    ]
    assert names(out) == ["a.safetensors", "b.safetensors"]


def test_an_interrupt_leaves_complete_files_and_says_which(run: Path, coded: list[Path], tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for index in range(2000):
        os.link(coded[0], many / f"{index:04}.fpn")
    out = tmp_path / "out"
    process = warm.Popen(
        command("decode", run, *sorted(many.iterdir()), "-o", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    done = names(out)
    assert errors.splitlines()[0] == "fpnkit.bitstream: interrupted"
    assert errors.splitlines()[1].startswith(f"complete are {len(done)} of 2000 files: {out}/0000.safetensors")
    assert 1 <= len(done) < 2000
    assert {(out / name).read_bytes() for name in done} == {(out / done[0]).read_bytes()}


def test_a_photo_is_coded_the_way_up_that_people_see_it(run: Path, tmp_path: Path) -> None:
    picture = Image.new("RGB", (120, 90), "red")
    orientation = Image.Exif()
    orientation[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=orientation)
    assert call("encode", run, tmp_path / "turned.jpg", "-o", tmp_path) == 0
    assert read_file(tmp_path / "turned.fpn").geometry.original == (120, 90)


@pytest.mark.parametrize("arguments", [[], ["encode", "run", "a.jpg"], ["decode", "run"], ["inspect"]])
def test_missing_arguments_are_wrong_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: python -m fpnkit.bitstream" in capsys.readouterr().err
