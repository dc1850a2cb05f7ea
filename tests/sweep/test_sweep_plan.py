"""The plan of a sweep, and which run stands for which of its points."""

from dataclasses import replace
from pathlib import Path

import pytest

from fpnkit.config.load import load_config, plain
from fpnkit.errors import ConfigError, RunError
from fpnkit.launch.needs import needs
from fpnkit.launch.sweep import (
    Sweep,
    SweepPoint,
    config_path,
    extended,
    find_point,
    new_sweep,
    read_sweep,
    similar,
    sweep_path,
    sweep_state,
    write_sweep,
)
from fpnkit.runs.store import list_runs
from tests.support.sweep_runs import make_run, plan


def find(base: Path, sweep: Sweep, lmbda: float = 1e-3, seed: int = 0) -> SweepPoint:
    return find_point(sweep, list_runs(base), lmbda, seed)


def test_the_id_follows_from_what_is_learned_apart_from_lambda_and_seed(config: Path) -> None:
    first = plan(config, [1e-3])
    assert first.id.startswith("config_")
    assert len(first.id) == len("config_") + 8
    same = (
        plan(config, [1e-4], [1]),
        plan(config, [1e-3], None, "seed=3", "loss.lambda=9"),
        plan(config, [1e-3], None, "training.keep_best=9", "cache.budget_gb=1", "analysis.diagnostics_every=7"),
        plan(config, [1e-3], None, "training.device=auto", "data.test={kind: shapes, images: 2}"),
    )
    assert {each.id for each in same} == {first.id}
    for change in ("training.lr=2e-3", "training.epochs=9", "codec.channels=9", "data.train.images=11"):
        assert plan(config, [1e-3], None, change).id != first.id, change


def test_a_plan_comes_back_from_its_file_as_it_was(config: Path, base: Path) -> None:
    sweep = plan(config, [1e-3, 2.501e-4, 1e-5], [1, 0], "loss.weights={p2: 2}")
    write_sweep(base, sweep)
    assert read_sweep(sweep_path(base, sweep.id)) == sweep
    assert sweep.points() == [(x, n) for x in (1e-5, 2.501e-4, 1e-3) for n in (0, 1)]
    text = sweep_path(base, sweep.id).read_text()
    assert "lambdas: [1.0e-05, 0.0002501, 0.001]\nseeds: [0, 1]\nconfig:\n" in text
    whole = load_config(config, [])
    trained = load_config(config_path(base, sweep.id))
    assert plain(trained) == plain(whole) | {
        "loss": plain(whole)["loss"] | {"lambda": 1e-5, "weights": {"p2": 2.0}},
        "seed": 0,
    }


def test_more_lambdas_join_a_plan_and_its_beginning_stays(config: Path, base: Path) -> None:
    write_sweep(base, replace(plan(config, [1e-3]), created="2026-01-01T00:00:00+00:00"))
    later = extended(base, plan(config, [1e-2, 1e-3], [0, 5], "training.keep_best=1"))
    assert (later.created, later.lambdas, later.seeds) == ("2026-01-01T00:00:00+00:00", (1e-3, 1e-2), (0, 5))
    assert later.settings["training"]["keep_best"] == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, ": No such file or directory"),
        ("", " something else"),
        ("created: x\nlambdas: [1]\nseeds: [0]\nconfig: 3\n", " something else"),
        ("created: x\nlambdas: []\nseeds: [0]\nconfig: {loss: {}}\n", " something else"),
        ("created: x\nlambdas: [1]\nseeds: [0]\nconfig: {loss: {}}\n", " settings that this fpnkit does not take"),
    ],
)
def test_a_broken_plan_is_one_error(text: str | None, found: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError) as error:
        read_sweep(path)
    assert str(error.value) == f"{path}: required the plan of a sweep, found{found}"


def test_a_plan_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("schema_version: 2\n")
    with pytest.raises(RunError) as error:
        read_sweep(tmp_path / "x.yaml")
    told = "has schema version 2, this fpnkit reads up to 1; update fpnkit"
    assert str(error.value) == f"{tmp_path / 'x.yaml'}: {told}"


def test_only_codecs_have_a_sweep_and_no_secret_is_kept(config: Path, tmp_path: Path) -> None:
    detector = tmp_path / "d.yaml"
    detector.write_text(
        "task: detection\ndetector: {kind: shapes_fcos}\ndata: {train: {kind: shapes, images: 4}}\n"
        "training: {epochs: 1}\n"
    )
    with pytest.raises(ConfigError) as error:
        new_sweep(detector, load_config(detector), [1e-3], [0])
    assert str(error.value) == f"{detector}: task: required fpn_compression, found detection: only codecs have a lambda"
    with pytest.raises(ConfigError) as error:
        plan(config, [1e-3], None, "detector={kind: plugin, name: x, options: {api_key: 123}}")
    told = "detector.options.api_key: a sweep keeps its settings in a file; required none that is a secret"
    assert str(error.value) == f"{config}: {told}"


def test_a_run_with_equal_settings_stands_for_a_point_whoever_made_it(config: Path, base: Path) -> None:
    sweep = plan(config, [1e-3, 1e-2], [0, 1])
    write_sweep(base, sweep)
    written_otherwise = plan(config, [1e-3], None, "training.keep_best=1", "training.device=auto").config(1e-3, 0)
    foreign = make_run(base, written_otherwise)
    make_run(base, plan(config, [1e-2], None, "training.aux_lr=1e-2").config(1e-2, 0))  # another training
    make_run(base, sweep.config(1e-2, 1), ("SIGINT", 130))  # somebody's, unfinished: not ours to resume
    state = sweep_state(base, sweep.id)
    assert [(point.lmbda, point.seed, point.status) for point in state] == [
        (1e-3, 0, "finished"),
        (1e-3, 1, "missing"),
        (1e-2, 0, "missing"),
        (1e-2, 1, "missing"),
    ]
    assert state[0].run is not None
    assert state[0].run.path == foreign


def test_a_run_of_the_sweep_that_was_trained_on_with_more_epochs_still_belongs_to_it(config: Path, base: Path) -> None:
    sweep = plan(config, [1e-3])
    longer = plan(config, [1e-3], None, "training.epochs=9").config(1e-3, 0)
    make_run(base, longer)
    assert find(base, sweep).status == "missing"
    make_run(base, longer, sweep=sweep.id)
    make_run(base, sweep.config(1e-3, 0), ("SIGINT", 130), sweep=sweep.id)
    assert find(base, sweep).status == "finished"


def test_of_several_runs_of_a_point_the_finished_one_counts_then_the_running_then_the_newest(
    config: Path, base: Path
) -> None:
    sweep = plan(config, [1e-3])
    whole = sweep.config(1e-3, 0)
    make_run(base, whole, ("SIGINT", 130), sweep=sweep.id)
    assert find(base, sweep).status == "stopped"
    make_run(base, whole, "killed", sweep=sweep.id)
    assert find(base, sweep).status == "killed"
    make_run(base, whole, "running")
    assert find(base, sweep).status == "running"
    make_run(base, whole, sweep=sweep.id)
    make_run(base, whole, ("OSError: gone", 1), sweep=sweep.id)
    assert find(base, sweep).status == "finished"


def test_what_ended_early_is_resumed_unless_it_diverged_or_never_saved(config: Path, tmp_path: Path) -> None:
    sweep = plan(config, [1e-3])
    whole = sweep.config(1e-3, 0)
    cases: list[tuple[tuple[str, int], bool, bool]] = [
        (("SIGINT", 130), True, True),
        (("SIGINT", 130), False, False),
        (("RuntimeError: out of memory", 1), True, True),
        (("diverged", 1), True, False),
        (("finished", 0), True, False),
    ]
    for number, (end, last, resumable) in enumerate(cases):
        base = tmp_path / str(number)
        make_run(base, whole, end, sweep=sweep.id, last=last)
        point = find(base, sweep)
        assert (point.resumable, point.diverged) == (resumable, end[0] == "diverged"), end
    assert find(base, plan(config, [1e-3], None, "training.lr=9")).resumable is False


def test_disk_and_time_come_from_finished_runs_with_the_same_settings(config: Path, base: Path) -> None:
    sweep = plan(config, [1e-3, 1e-2], [0, 1])
    todo = [SweepPoint(*point, None, "missing") for point in sweep.points()]
    done = make_run(base, sweep.config(0.5, 7))
    make_run(base, plan(config, [1e-3], None, "codec.channels=9").config(1e-3, 0))
    make_run(base, sweep.config(0.5, 7), ("SIGINT", 130))
    runs = list_runs(base)
    (one,) = similar(sweep, runs)
    assert one.path == done
    assert one.size_bytes is not None
    found = needs(sweep, todo, runs, base, None)
    assert (found.runs, found.bytes) == (4, 4 * one.size_bytes)
    assert found.seconds == pytest.approx(4 * (one.duration_seconds or 0))
    half = replace(one, status="stopped", epoch=3, epochs=4, size_bytes=one.size_bytes - 100)
    resumed = SweepPoint(0.5, 7, half, "stopped")
    assert resumed.resumable
    found = needs(sweep, [resumed], runs, base, None)
    assert found.bytes == 100
    assert found.seconds == pytest.approx((one.duration_seconds or 0) / 2)  # epochs 3 and 4 of 4


def test_without_such_a_run_the_disk_is_estimated_from_the_parameters(config: Path, base: Path) -> None:
    """A real run of these settings: 105056 parameters, 2 epochs, one best copy; last.pth 1.41 MB, each best 0.53 MB."""
    sweep = plan(config, [1e-3], None, "training.keep_best=1", "training.epochs=2")
    todo = [SweepPoint(1e-3, 0, None, "missing")]
    found = needs(sweep, todo, [], base, 105056)
    assert found.bytes == pytest.approx(1.41e6 + 2 * 0.53e6, rel=0.15)
    assert found.seconds is None
    assert found.source == "estimated from 105056 parameters"
