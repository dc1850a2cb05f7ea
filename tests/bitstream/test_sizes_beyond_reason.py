"""Files of a few bytes that claim gigabytes are refused before anything is allocated, unless the user lifts this."""

from dataclasses import replace
from pathlib import Path

import pytest

from fpnkit.bitstream.__main__ import main
from fpnkit.codecs.saved import load_codec
from fpnkit.container import Size, read_file, write
from fpnkit.geometry import ImageGeometry


def call(*arguments: object) -> int:
    return main(list(map(str, arguments)))


def claiming(file: Path, side: int, sizes: tuple[Size, ...], target: Path) -> Path:
    """The same payloads for a canvas of side x side, whose checksum is right."""
    geometry = ImageGeometry(original=(1, 1), content=(1, 1), canvas=(side, side))
    target.write_bytes(write(replace(read_file(file), geometry=geometry, sizes=sizes)))
    return target


@pytest.mark.parametrize("only_the_coarsest", [False, True], ids=["all levels", "the coarsest alone"])
def test_a_file_that_claims_a_huge_pyramid_is_refused(
    only_the_coarsest: bool, run: Path, coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = load_codec(run / "best_model.pth").codec.spec.levels
    sizes = [(8192 // level.stride, 8192 // level.stride) for level in levels]
    if only_the_coarsest:  # a codec that sees all levels as one grid computes the others too
        sizes = [*([(1, 1)] * (len(levels) - 1)), sizes[-1]]
    file = claiming(coded[0], 8192, tuple(sizes), tmp_path / "huge.fpn")
    assert file.stat().st_size < 1000
    assert call("decode", run, file, "-o", tmp_path / "features") == 2
    values = sum(level.channels * (8192 // level.stride) ** 2 for level in levels)
    told = (
        f"fpnkit.bitstream: {file}: levels: required a pyramid of at most 50,000,000 values, found {values:,} for a "
        "canvas of 8192 x 8192; --max-values N, or max_values in Python, lifts the limit\n"
    )
    assert capsys.readouterr() == ("", told)
    assert not (tmp_path / "features").exists()


def test_the_limit_is_the_users(
    run: Path, coded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, levels = read_file(coded[0]), load_codec(run / "best_model.pth").codec.spec.levels
    values = sum(level.channels * h * w for level, (h, w) in zip(levels, stream.sizes, strict=True))
    assert call("decode", run, coded[0], "-o", tmp_path / "features", "--max-values", values - 1) == 2
    rows, columns = stream.geometry.canvas
    assert capsys.readouterr().err == (
        f"fpnkit.bitstream: {coded[0]}: levels: required a pyramid of at most {values - 1:,} values, found {values:,} "
        f"for a canvas of {rows} x {columns}; --max-values N, or max_values in Python, lifts the limit\n"
    )
    assert call("decode", run, coded[0], "-o", tmp_path / "features", "--max-values", values) == 0
