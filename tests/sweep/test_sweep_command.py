"""`python -m fpnkit.sweep` as its user meets it: real trainings that diverge, are killed, are stopped."""

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fpnkit.config.load import load_config, parse_override
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.launch.sweep import config_path, new_sweep, sweep_state, write_sweep
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from fpnkit.sweep import main
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan, sweep
from tests.support.train_process import write_config

pytestmark = pytest.mark.usefixtures("warm_processes")


@dataclass
class Done:
    config: Path
    base: Path
    id: str
    code: int
    out: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Two lambdas, of which the first diverges at once, with the seed 3."""
    folder = tmp_path_factory.mktemp("sweep")
    config = write_config(folder, folder / "features")
    arguments = ["--lambdas", "1e30", "1e-3", "--seeds", 3, "--epochs", 1]
    finished = sweep("--config", config, *arguments, "--base-dir", folder / "runs")
    sweep_id = plan(config, [1e-3], [3], "training.epochs=1").id
    return Done(config, folder / "runs", sweep_id, finished.returncode, finished.stdout)


def test_a_sweep_states_its_needs_goes_on_after_a_failure_and_says_so(done: Done) -> None:
    lines = done.out.splitlines()
    assert lines[0] == f"sweep {done.id}: 2 to train"
    assert lines[1] == f"plan: {done.base}/sweeps/{done.id}.yaml"
    assert lines[2].startswith("disk: about ")
    assert " (estimated from 105056 parameters) and 3.9 MB for the feature cache, " in lines[2]
    assert lines[3] == "time: 2 runs to go; the duration is known once a run with these settings has finished"
    assert [line for line in lines if line.startswith("[")] == [
        "[1/2] lambda 1e30, seed 3: training",
        "[2/2] lambda 1e-3, seed 3: training",
    ]
    assert lines[-1] == "1 of 2 not finished: lambda 1e30, seed 3 crashed (diverged)"
    assert done.code == 1
    state = sweep_state(done.base, done.id)
    table = [line.split() for line in lines[-4:-1]]
    assert table[0] == ["lambda", "seed", "run", "status", "loss", "bpp", "est."]
    shown = [("1e-3", "finished"), ("1e30", "crashed")]
    for row, point, (lmbda, status) in zip(table[1:], state, shown, strict=True):
        assert point.run is not None
        assert row[:4] == [lmbda, "3", point.run.name, status]
        assert point.status == status
        assert (point.run.sweep, point.run.epochs) == (done.id, 1)
        assert f"{point.run.path}\n" in done.out  # what the trainer says is passed through
    assert float(table[1][4]) == pytest.approx(state[0].run.best_loss, rel=1e-3)  # type: ignore[union-attr]


def test_the_command_typed_again_trains_nothing_and_a_seed_joins(done: Done) -> None:
    again = sweep("--config", done.config, "--lambdas", "1e-3", "--seeds", 3, "--epochs", 1, "--base-dir", done.base)
    lines = again.stdout.splitlines()
    name = sweep_state(done.base, done.id)[0].run.name  # type: ignore[union-attr]
    assert lines[0] == f"sweep {done.id}: 1 finished"
    assert lines[2] == f"[1/1] lambda 1e-3, seed 3: {name} is finished"
    assert (again.returncode, again.stderr, len(lines)) == (0, "", 6)
    diverged = sweep("--config", done.config, "--lambdas", "1e30", "--seeds", 3, "--epochs", 1, "--base-dir", done.base)
    lines = diverged.stdout.splitlines()
    name = sweep_state(done.base, done.id)[1].run.name  # type: ignore[union-attr]
    told = f"{name} diverged and would again; to train it anew: python -m fpnkit.runs trash {name}"
    assert lines[0] == f"sweep {done.id}: 1 diverged before"
    assert lines[2] == f"[1/1] lambda 1e30, seed 3: {told}"
    assert diverged.returncode == 1


def test_a_sweep_outlives_its_runs_stops_on_request_and_goes_on(
    tmp_path: Path, begin: "Callable[..., subprocess.Popen[bytes]]"
) -> None:
    config = write_config(tmp_path, tmp_path / "features", crops=500)
    base = tmp_path / "runs"
    base.mkdir()
    whole = plan(config, [1e-3, 2e-3])
    make_run(base, whole.config(0.5, 0))  # a run like these tells disk and time without asking the trainer
    arguments = ["--config", config, "--lambdas", "2e-3", "1e-3", "--base-dir", base]

    def run_of(lmbda: float, lines: int) -> Path:
        def found() -> Path | None:
            for path in base.glob(f"run_*_lambda_{lmbda:.2e}_*"):
                if len(read_metrics(path / "metrics.jsonl")) >= lines:
                    return path
            return None

        until(lambda: found() is not None, 120)
        path = found()
        assert path is not None
        return path

    first = begin(*arguments)
    killed = run_of(2e-3, 1)
    config.write_text("edited: meanwhile\n")  # for the next experiment: must not reach this sweep
    os.kill(read_record(killed).pid or 0, signal.SIGKILL)
    stopped = run_of(1e-3, 1)
    os.killpg(first.pid, signal.SIGINT)  # Ctrl-C goes to the whole group; the trainer must get it once
    assert first.wait(timeout=60) == 130
    out = (tmp_path / "out").read_text()
    assert out.splitlines()[0].endswith(": 2 to train")
    assert out.splitlines()[2].startswith("disk: about 4.0 MB (1 run with these settings took up to 2.0 MB), ")
    assert out.splitlines()[3] == "time: about 2m00s for 2 runs"
    assert out.splitlines()[-1] == "stopped by SIGINT; to go on, type the same command again"
    assert [point.status for point in sweep_state(base, whole.id)] == ["stopped", "killed"]
    assert (read_record(stopped).exit_reason, read_record(stopped).exit_code) == ("SIGINT", 130)

    write_config(tmp_path, tmp_path / "features", crops=500)
    before = len(read_metrics(stopped / "metrics.jsonl"))
    second = begin("--config", config, "--lambdas", "1e-3", "--base-dir", base)
    run_of(1e-3, before + 1)
    second.terminate()
    assert second.wait(timeout=60) == 130
    out = (tmp_path / "out").read_text()
    assert out.splitlines()[0].endswith(": 1 to resume")
    assert f"[1/1] lambda 1e-3, seed 0: {stopped.name} was stopped; resuming" in out.splitlines()
    assert len(read_record(stopped).resumed) == 1
    assert [point.status for point in sweep_state(base, whole.id)] == ["stopped", "killed"]


def test_a_run_that_lives_elsewhere_is_left_alone(config: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = plan(config, [1e-3])
    path = make_run(base, whole.config(1e-3, 0), "running")
    before = (path / "run.json").read_bytes()
    assert main(["--config", str(config), "--lambdas", "1e-3", "--base-dir", str(base)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"sweep {whole.id}: 1 running elsewhere"
    assert out[2] == f"[1/1] lambda 1e-3, seed 0: {path.name} is running on far; it is left alone"
    assert out[-1] == "1 of 1 not finished: lambda 1e-3, seed 0 running (on far)"
    assert (path / "run.json").read_bytes() == before


def test_what_is_finished_is_evaluated_at_the_end_and_its_exit_code_is_passed_on(
    config: Path, base: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = make_run(base, plan(config, [1e-3]).config(1e-3, 0))  # finished, but its best_model.pth is gone
    assert main(["--config", str(config), "--lambdas", "1e-3", "--base-dir", str(base), "--evaluate"]) == 2
    out, err = capfd.readouterr()
    assert f"[1/1] lambda 1e-3, seed 0: {run.name} is finished" in out
    assert err.startswith("fpnkit.evaluate: ")
    assert run.name in err


def test_anchors_are_measured_last_on_what_the_sweep_was_made_for(
    config: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path / "home"))
    set_test = ["--set", "data.test={kind: shapes, images: 2, seed: 9}"]
    settings = load_config(config, [parse_override(set_test[1])])
    make_run(base, new_sweep(config, settings, [1e-3], [0]).config(1e-3, 0))
    arguments = ["--config", str(config), "--lambdas", "1e-3", "--base-dir", str(base), *set_test]
    assert main([*arguments, "--anchors", "features_zstd"]) == 0
    (codec,) = (tmp_path / "home" / "checkpoints" / "anchors").glob("*/*/*")
    assert codec.name == "features_zstd"
    assert codec.parents[1].name == "shapes_2_seed_9_shapes_fcos"
    assert "features_zstd" in capfd.readouterr().out.splitlines()[-2]


def test_an_anchor_that_is_none_is_said_before_anything(
    config: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(config), "--lambdas", "1e-3", "--base-dir", str(base), "--anchors", "jpg_input"]) == 2
    told, known = capsys.readouterr().err.split("; did you mean jpeg_input? known are ")
    assert told == "fpnkit.sweep: --anchors jpg_input: no such anchor"
    assert known.startswith("jpeg_original, jpeg_input, webp_original, ")
    assert list(base.iterdir()) == []


def test_a_sweep_is_worked_on_by_one_process(config: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = plan(config, [1e-3])
    make_run(base, whole.config(1e-3, 0))
    write_sweep(base, whole)
    folder = config_path(base, whole.id).parent
    lock = DirectoryLock(folder, "sweep")
    try:
        done = sweep("--config", config, "--lambdas", "1e-3", "--base-dir", base)
    finally:
        lock.release()
    assert (done.returncode, done.stderr) == (2, f"fpnkit.sweep: {folder}: another process is working on this sweep\n")


def test_a_disk_that_obviously_is_too_small_is_refused_before_anything(
    config: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(base, plan(config, [1e-3]).config(1e-3, 0), size_bytes=10**16)
    assert main(["--config", str(config), "--lambdas", "1e-2", "1e-1", "--base-dir", str(base)]) == 2
    error = capsys.readouterr().err
    told = "required about 20000 TB for 2 runs (1 run with these settings took up to 10000 TB), found "
    assert error.startswith(f"fpnkit.sweep: {base}: {told}")
    assert error.endswith(" free\n")
    assert not (base / "sweeps").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--lambdas", "1e-3", "0", "x", "0.001"],
            "--lambdas 0.001: appears twice, first as 1e-3\n"
            "--lambdas 0: loss.lambda: required a number greater than 0, found 0\n"
            '--lambdas x: loss.lambda: required a number, found "x"',
        ),
        (
            ["--lambdas", "-1", "--seeds", "1", "-1", "1"],
            "--seeds 1: appears twice, first as 1\n"
            "--lambdas -1: loss.lambda: required a number greater than 0, found -1\n"
            "--seeds -1: seed: required a number of at least 0, found -1",
        ),
        (
            ["--lambdas", "1", "--set", "loss.lambda=1", "--set", "seed=1", "--lr", "0"],
            "--set loss.lambda=1: a sweep sets loss.lambda itself, see --lambdas\n"
            "--set seed=1: a sweep sets seed itself, see --seeds\n"
            "--lr 0: training.lr: required a number greater than 0, found 0",
        ),
        (
            ["--lambdas", "1", "--base-dir", "CONFIG"],
            "base directory CONFIG: must be a directory, found the file CONFIG",
        ),
    ],
    ids=["lambdas", "seeds", "settings", "base directory"],
)
def test_wrong_input_is_told_at_once_and_starts_nothing(
    arguments: list[str], message: str, config: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [argument.replace("CONFIG", str(config)) for argument in arguments]
    assert main(["--config", str(config), "--base-dir", str(base), *arguments]) == 2
    assert capsys.readouterr() == ("", f"fpnkit.sweep: {message}\n".replace("CONFIG", str(config)))
    assert list(base.iterdir()) == []


def test_input_that_only_the_trainer_can_judge_ends_the_sweep_before_it_begins(config: Path, base: Path) -> None:
    done = sweep("--config", config, "--lambdas", "1", "2", "--base-dir", base, "--set", "training.crop=50")
    told = "training.crop: required a multiple of the coarsest stride, 32 pixels; found 50"
    assert done.stderr.splitlines()[-1] == f"fpnkit.train: {told}"
    assert done.returncode == 2
    assert list(base.iterdir()) == []


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(config: Path, base: Path) -> None:
    whole = plan(config, [1e-2])
    make_run(base, whole.config(1e-2, 0))
    before = sorted(base.rglob("*"))
    done = sweep("--config", config, "--lambdas", "1e-2", "1e-9", "--base-dir", base, "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"sweep {whole.id}: 1 finished, 1 to train"
    assert lines[-1] == "dry run: nothing was started"
    assert "features: feature cache" in done.stderr
    assert "WARNING: lambda 1.00e-09 is too small" in done.stderr
    assert sorted(base.rglob("*")) == before
