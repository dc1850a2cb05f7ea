"""`python -m fpnkit.evaluate` on a run that is a whole curve."""

import json
from pathlib import Path

import pytest

from fpnkit import evaluate
from fpnkit.evaluation.bench import Bench
from fpnkit.ratedist.table import frame, read_points
from fpnkit.runs.evaluations import read_evaluations
from fpnkit.runs.results import read_summary
from tests.support.curve_run import HIGHEST, LOWEST, copy_run


@pytest.fixture
def curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return copy_run(tmp_path / "checkpoints" / "fpn_compression")


def folders(run: Path) -> list[str]:
    return sorted(path.parent.name for path in run.glob("evaluation/*/*/q*/summary.json"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert evaluate.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_one_run_is_measured_at_all_whole_qualities_with_one_pass_of_the_backbone(
    curve: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    features = Bench.features
    monkeypatch.setattr(Bench, "features", lambda own, sample: seen.append(sample.image_id) or features(own, sample))
    assert evaluate.main([curve.name, "--set", "data.test.images=2"]) == 0
    assert len(seen) == 2 + 2  # the ceiling, then all qualities together
    assert folders(curve) == ["q0", "q1", "q2"]
    points = frame(read_points([curve]))
    assert points["quality"].tolist() == [0.0, 1.0, 2.0]
    assert points["lmbda"].tolist() == pytest.approx([LOWEST, (LOWEST * HIGHEST) ** 0.5, HIGHEST])
    assert points["bpp"].is_monotonic_increasing
    assert points["curve"].tolist() == ["fused"] * 3
    said = capsys.readouterr().out
    assert all(f"(fused at quality {quality}, 2 images): " in said for quality in (0, 1, 2))


def test_results_for_programs(curve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([curve.name, "--qualities", "0", "2", "--json", "--set", "data.test.images=1"]) == 0
    low, high = json.loads(capsys.readouterr().out)
    found = {path.parent.name: path.parent for path in curve.glob("evaluation/*/*/q*/summary.json")}
    assert (low["directory"], high["directory"]) == (str(found["q0"]), str(found["q2"]))
    assert low["bpp"] == read_summary(found["q0"]).bpp < high["bpp"]
    assert low["quality"] == 0


def test_what_a_search_finds_is_a_curve_of_its_own(curve: Path) -> None:
    few = ("--set", "data.test.images=1")
    assert evaluate.main([curve.name, "--qualities", "0", "0.5", "0.5", *few]) == 0
    assert evaluate.main([curve.name, "--qualities", "0", "--search", "4", *few]) == 0
    assert folders(curve) == ["q0", "q0.5", "q0_s4"]
    (found,) = [each for each in read_evaluations(curve) if each.search_steps]
    assert (found.quality, found.search_steps, found.summary.codec) == (0.0, 4, "fused+search4")
    assert found.checkpoint == read_summary(found.directory).checkpoint == found.directory.parent.name
    table = frame(read_points([curve]))
    assert table["curve"].tolist() == ["fused", "fused", "fused+search4"]
    assert table["search_steps"].fillna(0).tolist() == [0, 0, 4]


def test_a_target_is_measured_at_the_highest_quality_within_it(curve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--set", "data.test.images=1")
    assert evaluate.main([curve.name, "--qualities", "0", "1", *few]) == 0
    low, high = (each.summary.bpp for each in sorted(read_evaluations(curve), key=lambda each: each.quality or 0))
    capsys.readouterr()
    target = (low + high) / 2
    assert evaluate.main([curve.name, "--target-bpp", str(target), *few]) == 0
    newest = read_evaluations(curve)[-1]
    assert newest.quality is not None
    assert 0 < newest.quality < 1
    assert low < newest.summary.bpp <= target
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{curve.name}: quality {newest.quality:g} has {newest.summary.bpp:.4f} bpp, at most {target:g}"
    assert refused(capsys, curve.name, "--target-bpp", "1e-6", *few) == (
        f"fpnkit.evaluate: run {curve}: --target-bpp: required a target of at least {low:.4g} bpp, the lowest rate, "
        "found 1e-06 bpp"
    )


def test_a_quality_off_the_curve_is_refused(curve: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, curve.name, "--qualities", "1", "2.5") == (
        f"fpnkit.evaluate: run {curve}: quality: required a number from 0 to 2, found 2.5"
    )
    assert not (curve / "evaluation").exists()


def test_a_run_of_one_rate_has_no_quality_target_or_search(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, run_dir.name, "--qualities", "1") == (
        f"fpnkit.evaluate: run {run_dir}: quality: required none, the codec has one rate; found 1"
    )
    assert refused(capsys, run_dir.name, "--target-bpp", "1") == (
        f"fpnkit.evaluate: run {run_dir}: --target-bpp: required a codec of several rates, found one of one rate"
    )
    assert refused(capsys, run_dir.name, "--search", "4") == (
        f"fpnkit.evaluate: run {run_dir}: search: required a codec whose latents can be moved, found factorized"
    )
    assert not (run_dir / "evaluation").exists()
