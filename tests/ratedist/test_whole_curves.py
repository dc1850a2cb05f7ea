"""Runs that are whole curves, beside runs of one rate."""

from pathlib import Path
from typing import Any

import pytest

from fpnkit.plots.rd import plot_rd
from fpnkit.ratedist.judge import NextQuality, doubts, following
from fpnkit.ratedist.points import Curve, RdPoints
from fpnkit.ratedist.rows import fitting, point_rows
from fpnkit.ratedist.table import frame, read_points
from fpnkit.runs.layout import evaluation_directory
from tests.support.rd_store import CEILING, ap_of, write_ceiling, write_evaluation, write_run

FOUND = (0.3, 0.5, 0.65, 0.78)  # at qualities 0 to 3
BPP = (0.02, 0.06, 0.1, 0.15)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "fpn_compression"


def settings_of(**changes: Any) -> dict[str, Any]:
    loss = {"lambda": 1e-2, "lowest_lambda": 1e-5, "distortion": {"head": 1.0}} | changes.pop("loss", {})
    return {"codec": {"kind": "fused", "rates": 4}, "loss": loss} | changes


def write_curve(
    base: Path, *, seed: int = 0, shift: float = 0.0, steps: int | None = None, run: Path | None = None, **changes: Any
) -> Path:
    """Evaluated at four qualities, searched if there are `steps`."""
    run = run or write_run(base, 1e-2, seed=seed, codec="fused", settings=settings_of(**changes))
    codec = "fused" if steps is None else f"fused+search{steps}"
    origin = {"run": run.name, "checkpoint": "0000aaaa", "epoch": 6, "codec": codec, "search_steps": steps}
    for quality, (found, bpp) in enumerate(zip(FOUND, BPP, strict=True)):
        directory = evaluation_directory(run, "coco-val", "0000aaaa", quality, steps)
        lmbda = 1e-5 * 10**quality
        rate = bpp if steps is None else 0.9 * bpp
        seconds = {"encode_seconds": 0.02 if steps is None else 0.5}
        write_evaluation(directory, found + shift, rate, quality=float(quality), lmbda=lmbda, **origin, **seconds)
    return run


def names(points: RdPoints) -> list[str]:
    return [curve.name for curve in points.curves]


def only(points: RdPoints) -> Curve:
    (curve,) = points.curves
    return curve


def test_one_run_of_four_qualities_stands_beside_four_runs_of_one_rate(base: Path, tmp_path: Path) -> None:
    singles = [
        write_run(base, lmbda, found, 2 * bpp) for lmbda, found, bpp in zip((1, 2, 3, 4), FOUND, BPP, strict=True)
    ]
    points = read_points([*singles, write_curve(base)], home=tmp_path)
    assert names(points) == ["factorized", "fused"]
    assert [len(curve.steps("bpp", "map")) for curve in points.curves] == [4, 4]
    header, rows = point_rows(points, "map").header, point_rows(points, "map").rows
    assert [row[header.index("quality")] for row in rows] == ["-"] * 4 + ["0", "1", "2", "3"]


def test_seeds_of_whole_curves_are_averaged_at_each_quality(base: Path, tmp_path: Path) -> None:
    points = read_points([write_curve(base), write_curve(base, seed=1, shift=0.02)], home=tmp_path)
    steps = only(points).steps("bpp", "map")
    assert [len(step) for step in steps] == [2] * 4
    expected = [(ap_of(found) + ap_of(found + 0.02)) / 2 for found in FOUND]
    assert only(points).series("bpp", "map").values == pytest.approx(expected)


def test_other_ends_of_lambda_are_another_curve(base: Path, tmp_path: Path) -> None:
    points = read_points([write_curve(base), write_curve(base, loss={"lambda": 0.1})], home=tmp_path)
    assert names(points) == ["fused lambda=0.01", "fused lambda=0.1"]
    assert [len(curve.points) for curve in points.curves] == [4, 4]


def test_searched_points_are_a_curve_of_their_own_with_their_seconds(base: Path, tmp_path: Path) -> None:
    run = write_curve(base)
    write_curve(base, run=run, steps=24)
    points = read_points([run], home=tmp_path)
    assert names(points) == ["fused", "fused+search24"]
    table = frame(points)
    assert table["search_steps"].tolist()[4:] == [24] * 4
    assert table["encode_seconds"].tolist() == [0.02] * 4 + [0.5] * 4
    rows = point_rows(points, "map")
    assert [row[rows.header.index("encode s")] for row in rows.rows] == ["0.020"] * 4 + ["0.500"] * 4
    ax = plot_rd(points)
    low, high = only_snr(points.curves[1])
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told[1] == f"fused+search24, {low:.0f} to {high:.0f} dB, 0.5 s"


def only_snr(curve: Curve) -> tuple[float, float]:
    values = [point.values["snr_db.mean"] for point in curve.points]
    return min(values), max(values)


def test_snr_stands_beside_accuracy_where_training_was_for_the_heads(base: Path, tmp_path: Path) -> None:
    single = write_run(base, 1e-3, 0.5, 0.1)
    for_heads = read_points([single, write_curve(base)], home=tmp_path)
    assert "SNR dB" in fitting(point_rows(for_heads, "map"), 10, for_heads).header
    legend = plot_rd(for_heads).get_legend()
    assert legend.get_title().get_text() == "mean SNR of the features; seconds to encode with search"
    assert all(text.get_text().endswith(" dB") for text in legend.get_texts())
    alone = read_points([single], home=tmp_path)
    assert "SNR dB" not in fitting(point_rows(alone, "map"), 10, alone).header
    assert [text.get_text() for text in plot_rd(alone).get_legend().get_texts()] == ["factorized"]


def test_before_its_evaluation_a_whole_curve_is_one_point_of_no_lambda(base: Path, tmp_path: Path) -> None:
    run = write_run(base, 1e-2, codec="fused", settings=settings_of())
    points = read_points([run], home=tmp_path)
    (point,) = only(points).points
    assert (point.lmbda, point.quality, point.status, point.solid) == (None, None, "finished", False)
    assert points.warnings[0] == (
        "run 20261216_140000: its point stands for a whole curve: means over its qualities, by validation"
    )


def test_a_doubt_about_a_run_is_said_once_for_all_its_qualities(base: Path, tmp_path: Path) -> None:
    falling = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
    run = write_run(base, 1e-2, codec="fused", settings=settings_of(), losses=falling)
    found = doubts(only(read_points([write_curve(base, run=run)], home=tmp_path)), "bpp", "map")
    assert found == ["fused: run 20261216_140000 has not converged: the validation loss still fell by 14.5 % an epoch"]


def test_next_is_a_quality_to_measure(base: Path, tmp_path: Path) -> None:
    write_ceiling(tmp_path)
    run = write_curve(base)
    points = read_points([run], home=tmp_path)
    found = following(points, only(points), "bpp", "map")
    assert isinstance(found, NextQuality)
    assert (found.quality, found.arguments) == (
        0.5,
        ["fpnkit.evaluate", "20261216_140000", "--qualities", "0.5"],
    )
    assert found.reason == "between quality 0 and 1 the rate grows 3.0 times, the largest gap"
    for quality in (2, 3):
        (evaluation_directory(run, "coco-val", "0000aaaa", quality) / "summary.json").unlink()
    points = read_points([run], home=tmp_path)
    found = following(points, only(points), "bpp", "map")
    assert isinstance(found, NextQuality)
    assert found.quality == 3
    share = 100 * ap_of(FOUND[1]) / ap_of(CEILING)
    assert found.reason == f"the curve ends at {share:.0f} % of the ceiling; the highest quality of the codec"
