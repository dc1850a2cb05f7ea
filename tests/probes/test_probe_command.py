"""`python -m fpnkit.probe`."""

import csv
from pathlib import Path

import pytest

from fpnkit import probe
from fpnkit.runs import layout
from tests.support.curve_run import copy_run

HEADER = ["codec", "run", "quality", "bpp", "mAP", "objects IoU, %", "edges R², %", "picture R², %", "feature SNR, dB"]


@pytest.fixture
def curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return copy_run(tmp_path / "checkpoints" / "fpn_compression")


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert probe.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fpnkit.probes.session._STEPS", 3)


def test_detector_and_heads_are_asked_without_a_codec_and_at_each_quality(
    curve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "seen.csv"
    assert probe.main([curve.name, "--qualities", "0", "2", "--images", "3", "--csv", str(file)]) == 0
    with file.open() as lines:
        header, *rows = csv.reader(lines)
    assert header == HEADER
    assert [row[:3] for row in rows] == [
        ["uncompressed", "", ""],
        ["fused", curve.name, "0"],
        ["fused", curve.name, "2"],
    ]
    none, low, high = ([float(cell) if cell else None for cell in row[3:]] for row in rows)
    assert [each is None for each in none] == [True, False, False, False, False, True]
    assert None not in (*low, *high)
    assert low[0] < high[0]  # type: ignore[operator]
    assert low[-1] < high[-1]  # type: ignore[operator]
    said = capsys.readouterr().out
    assert all(row[2] in said and row[6] in said for row in rows)


def test_runs_that_cannot_be_compared_are_refused(curve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = curve.with_name("run_other")
    curve.rename(other)
    copy_run(other.parent)
    file = other / layout.CONFIG_USED
    file.write_text(file.read_text().replace("seed: 7", "seed: 8"))
    found = refused(capsys, curve.name, other.name)
    assert found == "fpnkit.probe: runs: required the same data in all, found another in run_other"


def test_wrong_numbers_and_places_are_refused_before_anything_starts(
    curve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, curve, "--images", 0) == "fpnkit.probe: --images: required at least 1, found 0"
    gone = tmp_path / "gone"
    expected = f"fpnkit.probe: --csv {gone}/a.csv: required a directory that exists, found no {gone}"
    assert refused(capsys, curve, "--csv", gone / "a.csv") == expected
    text = f"fpnkit.probe: run {curve}: quality: required a number from 0 to 2, found 3"
    assert refused(capsys, curve, "--qualities", 3) == text
