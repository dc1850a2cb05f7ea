"""Encoding at a quality and for a target, with a run that is a whole curve."""

from pathlib import Path

import pytest

from fpnkit.bitstream.__main__ import main
from fpnkit.container import read_file
from tests.support.curve_run import trained_run


def encode(*arguments: object) -> int:
    return main(["encode", str(trained_run()), *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 2
    return capsys.readouterr().err.splitlines()[0]


def test_a_quality_is_told_and_stands_in_the_file(
    images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(images[0], "-o", tmp_path, "--quality", "1.25") == 0
    path = tmp_path / "a.fpn"
    size = path.stat().st_size
    assert capsys.readouterr().out == f"{path}: {size} bytes, {8 * size / 9000:.4f} bpp, quality 1.25\n"
    assert main(["inspect", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  codec    fused, quality 1.25"


def test_each_image_has_the_highest_quality_within_the_target(images: list[Path], tmp_path: Path) -> None:
    assert encode(*images[:2], "-o", tmp_path / "one", "--quality", "1") == 0
    sizes = [path.stat().st_size for path in sorted((tmp_path / "one").iterdir())]
    most = max(sizes) / 1000
    assert encode(*images[:2], "-o", tmp_path / "most", "--target-kb", most) == 0
    for path, size in zip(sorted((tmp_path / "most").iterdir()), sizes, strict=True):
        quality = read_file(path).quality
        assert quality is not None
        assert path.stat().st_size <= max(sizes)
        assert quality >= 1 if size <= max(sizes) else quality < 1
        next_one = tmp_path / f"{path.stem}_next"
        source = images[0].with_name(f"{path.stem}.png")
        assert encode(source, "-o", next_one, "--quality", round(quality + 0.001, 3)) == 0
        assert (next_one / path.name).stat().st_size > max(sizes)


def test_searched_files_are_decoded_like_others(
    images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(images[0], "-o", tmp_path / "coded", "--quality", "0", "--search", "4") == 0
    coded = tmp_path / "coded" / "a.fpn"
    assert main(["decode", str(trained_run()), str(coded), "-o", str(tmp_path / "features")]) == 0
    assert (tmp_path / "features" / "a.safetensors").is_file()


def test_wrong_rates_are_said(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve, out = trained_run(), ("-o", tmp_path / "out")
    assert refused(capsys, "encode", curve, images[0], *out) == (
        f"fpnkit.bitstream: run {curve}: required --quality from 0 to 2, --target-bpp or --target-kb, found none"
    )
    assert refused(capsys, "encode", curve, images[0], *out, "--quality", 3) == (
        f"fpnkit.bitstream: run {curve}: quality: required a number from 0 to 2, found 3"
    )
    assert refused(capsys, "encode", run, images[0], *out, "--quality", 1) == (
        f"fpnkit.bitstream: run {run}: quality: required none, the codec has one rate; found 1"
    )
    assert refused(capsys, "encode", run, images[0], *out, "--target-kb", 1) == (
        f"fpnkit.bitstream: run {run}: --target-kb: required a codec of several rates, found one of one rate"
    )
    assert refused(capsys, "encode", run, images[0], *out, "--search", 1) == (
        f"fpnkit.bitstream: run {run}: search: required a codec whose latents can be moved, found factorized"
    )
    assert not (tmp_path / "out").exists()
    message = refused(capsys, "encode", curve, images[0], *out, "--target-kb", 0.001)
    assert message.startswith(f"fpnkit.bitstream: {images[0]}: required a target of at least 0.")
    assert message.endswith(" KB, the lowest rate, found 0.001 KB")
    assert list((tmp_path / "out").iterdir()) == []
