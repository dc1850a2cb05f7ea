"""Every value stands in its column, as people write it."""

from dataclasses import replace
from pathlib import Path

from fpnkit.metrics.bd import BdResult
from fpnkit.ratedist.compare import RateAtShare
from fpnkit.ratedist.points import Curve, Point, RdPoints
from fpnkit.ratedist.rows import bd_rows, dataset_line, fitting, point_rows, share_rows, share_table
from fpnkit.runs.results import Ceiling

POINT = Point(
    codec="fused",
    status="finished",
    values={"bpp": 0.12345, "bpp_estimated": 0.12, "bpp_gap": -0.0251, "map": 0.3456, "snr_db.mean": 12.345},
    intervals={"map": (0.3211, 0.3699)},
    directory=Path("evaluation"),
    run="run_20261216_143022_lambda_2.50e-04_lr_5.00e-05_bs_4",
    lmbda=2.5e-4,
    seed=7,
    quality=1.5,
    epoch=9,
)


def points(*given: Point, **others: object) -> RdPoints:
    return RdPoints((Curve("fused", "fused", given),), **others)  # type: ignore[arg-type]


def test_of_points() -> None:
    waiting = replace(POINT, directory=None, status="stopped", intervals={}, seed=None, values={"bpp": 0.5})
    running = replace(waiting, status="running")
    rows = point_rows(points(POINT, waiting, running), "map")
    assert rows.header == (
        *("curve", "run", "lambda", "quality", "seed", "epoch", "status"),
        *("bpp", "estimated", "gap", "mAP", "SNR dB"),
    )
    assert rows.rows[0] == (
        *("fused", "20261216_143022", "2.5e-4", "1.5", "7", "9", "finished"),
        *("0.1235", "0.12", "-2.51 %", "34.6 [32.1, 37.0]", "12.35"),
    )
    rest = ("fused", "20261216_143022", "2.5e-4", "1.5", "-", "9")
    assert [row[:8] for row in rows.rows[1:]] == [
        (*rest, "stopped, not evaluated", "0.5"),
        (*rest, "running", "0.5"),
    ]
    assert {row[8:] for row in rows.rows[1:]} == {("-",) * 4}


def test_of_an_anchor_and_of_another_metric() -> None:
    anchor = Point("jpeg_input", "anchor", {"bpp": 0.25, "loss": 1.23456}, directory=Path("x"), quality=40)
    rows = point_rows(points(anchor), "loss")
    assert rows.header == ("curve", "quality", "status", "bpp", "loss")
    assert rows.rows == (("fused", "40", "anchor", "0.25", "1.235"),)


def test_columns_give_way_one_by_one_until_the_rest_fits() -> None:
    both = points(POINT)
    rows = point_rows(both, "map")
    width = sum(max(map(len, column)) + 2 for column in zip(rows.header, *rows.rows, strict=True)) - 2
    assert fitting(rows, width, both) == rows
    narrower = fitting(rows, width - 1, both)
    assert narrower.header == tuple(name for name in rows.header if name != "estimated")
    assert len(narrower.rows[0]) == len(narrower.header)
    assert fitting(rows, 1, both).header == ("curve", "lambda", "quality", "status", "bpp", "mAP")


def test_of_rates_at_shares_of_the_ceiling() -> None:
    found = RateAtShare("fused", 0.9, 0.2705, 0.01234, interval=(0.01, 0.0251))
    never = RateAtShare("fused", 0.99, 0.2976, None, "not reached")
    doubtful = RateAtShare("jpeg", 0.9, 0.2705, 0.5, interval_reason="too few")
    rows = share_rows([found, never, doubtful], "bpp", "map")
    assert rows.header == ("curve", "of ceiling", "mAP", "bpp", "95 %", "")
    assert rows.rows == (
        ("fused", "90 %", "27.1", "0.01234", "[0.01, 0.0251]", ""),
        ("fused", "99 %", "29.8", "-", "-", "not reached"),
        ("jpeg", "90 %", "27.1", "0.5", "-", "too few"),
    )
    table = share_table([never, found, doubtful], "map")
    assert table.header == ("curve", "90 % (mAP 27.1)", "99 % (mAP 29.8)", "")
    assert table.rows == (
        ("fused", "0.01234 [0.01, 0.0251]", "-", "99 %: not reached"),
        ("jpeg", "0.5", "-", "90 %: too few"),
    )


def test_of_comparisons() -> None:
    result = BdResult(
        "vvc", "fused", -75.04, 0.0525, (0.1, 0.2), ("fused: quality 3",), None, "pchip", (-80.0, -70.06), (0.04, 0.06)
    )
    refused = BdResult("vvc", "jpeg", None, None, None, (), "other images")
    rows = bd_rows([result, refused], "map")
    assert rows.header == ("curve", "BD-rate %", "95 %", "BD-mAP", "95 %", "mAP from, to", "")
    assert rows.rows == (
        ("fused", "-75.0", "[-80.0, -70.1]", "+5.25", "[+4.00, +6.00]", "10, 20", "without fused: quality 3"),
        ("jpeg", "-", "-", "-", "-", "-", "other images"),
    )
    in_decibels = bd_rows([result], "snr_db.mean").rows[0]
    assert in_decibels[3:6] == ("+0.05", "[+0.04, +0.06]", "0.1, 0.2")


def test_the_set_and_its_ceiling_in_a_line() -> None:
    both = points(POINT, ceiling=Ceiling(0.3008, 0.5), dataset="coco-val", detector="nanodet_m")
    assert dataset_line(both, "map") == "coco-val with nanodet_m; mAP on uncompressed features 30.1"
    assert dataset_line(replace(both, ceiling=None), "map") == "coco-val with nanodet_m"
