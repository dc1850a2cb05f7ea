"""`python -m fpnkit.sweep --jobs`: real trainings at the same time."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.launch.sweep import sweep_state
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from fpnkit.sweep import main
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan, sweep
from tests.support.train_process import write_config

pytestmark = pytest.mark.usefixtures("warm_processes")


def losses(run: Path) -> list[float | None]:
    return [line.loss for line in read_metrics(run / "metrics.jsonl")]


def test_runs_side_by_side_are_those_that_come_one_after_another(tmp_path: Path, config: Path) -> None:
    arguments = ["--config", config, "--lambdas", "1e30", "1e-3", "2e-3", "--epochs", 1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    beside = sweep(*arguments, "--base-dir", tmp_path / "beside", "--jobs", 2, env=environment)
    after = sweep(*arguments, "--base-dir", tmp_path / "after", env=environment)
    assert (beside.returncode, after.returncode) == (1, 1)  # one of them diverged
    lines = beside.stdout.splitlines()
    assert lines[2].startswith("2 trainings at a time, ")
    assert lines[2].endswith(" each: --jobs 2")
    told = [line for line in lines if line.endswith(": training") or "] ended with " in line]
    assert told[:2] == ["[1/3] lambda 1e30, seed 0: training", "[2/3] lambda 1e-3, seed 0: training"]
    assert set(told[2:]) == {"[1/3] ended with exit code 1", "[3/3] lambda 2e-3, seed 0: training"}
    assert {"[2/3] done", "[3/3] done"} < set(lines)
    assert lines[-1] == "1 of 3 not finished: lambda 1e30, seed 0 crashed (diverged)"
    sweep_id = plan(config, [1e-3], [0], "training.epochs=1").id
    pairs = list(zip(*(sweep_state(tmp_path / base, sweep_id) for base in ("beside", "after")), strict=True))
    assert [one.status for pair in pairs for one in pair] == ["finished"] * 4 + ["crashed"] * 2
    for one, other in pairs[:2]:
        assert one.run is not None
        assert other.run is not None
        assert losses(one.run.path) == losses(other.run.path) != []
        assert f"[{2 if one.lmbda == 1e-3 else 3}/3] {one.run.path}" in lines  # what a trainer says, behind its number


def test_seeds_of_one_lambda_that_start_together_have_directories_of_their_own(config: Path, base: Path) -> None:
    arguments = ["--config", config, "--lambdas", "1e-3", "--seeds", 1, 2, "--epochs", 1, "--base-dir", base]
    assert sweep(*arguments, "--jobs", 2).returncode == 0
    runs = [read_record(path) for path in base.glob("run_*")]
    assert sorted(run.config.seed for run in runs if run.config) == [1, 2]


def test_a_signal_stops_all_and_the_command_typed_again_goes_on_with_all(
    tmp_path: Path, base: Path, begin: "Callable[..., subprocess.Popen[bytes]]"
) -> None:
    config = write_config(tmp_path, tmp_path / "features", crops=500)
    whole = plan(config, [1e-3, 2e-3, 4e-3])
    make_run(base, whole.config(0.5, 0))  # a run like these tells disk and time without asking the trainer
    arguments = ["--config", config, "--lambdas", "4e-3", "1e-3", "2e-3", "--base-dir", base, "--jobs", 2]

    def trained(lines: int) -> list[Path]:
        found = [path for path in base.glob("run_*") if (path / "metrics.jsonl").exists()]
        return [path for path in found if len(read_metrics(path / "metrics.jsonl")) >= lines]

    first = begin(*arguments)
    until(lambda: len(trained(1)) == 2, 120)
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(timeout=60) == 130
    out = (tmp_path / "out").read_text().splitlines()
    assert out[4] == "time: about 1m30s for 3 runs, 2 at a time"
    assert out[-1] == "stopped by SIGINT; to go on, type the same command again"
    state = sweep_state(base, whole.id)
    assert [(point.lmbda, point.status) for point in state] == [
        (1e-3, "stopped"),
        (2e-3, "missing"),
        (4e-3, "stopped"),
    ]
    assert [read_record(path).exit_code for path in trained(1)] == [130, 130]

    second = begin(*arguments)
    until(lambda: all(read_record(path).resumed for path in trained(1)), 120)
    second.terminate()
    assert second.wait(timeout=60) == 130
    resumed = [line for line in (tmp_path / "out").read_text().splitlines() if line.endswith("was stopped; resuming")]
    assert [line.partition(":")[0] for line in resumed] == ["[1/3] lambda 4e-3, seed 0", "[2/3] lambda 1e-3, seed 0"]


def test_wrong_input_of_one_ends_all(config: Path, base: Path) -> None:
    given = ["--set", "training.crop=50"]
    whole = plan(config, [1e-3], [0], given[1])
    make_run(base, whole.config(0.5, 0))
    arguments = ["--config", config, "--lambdas", "1e-3", "2e-3", "4e-3", "5e-3", "--base-dir", base, *given]
    done = sweep(*arguments, "--jobs", 2)
    assert done.returncode == 2
    assert done.stderr == "fpnkit.sweep: fpnkit.train refused its input, which all runs share\n"
    told = "fpnkit.train: training.crop: required a multiple of the coarsest stride, 32 pixels; found 50"
    assert f"[1/4] {told}" in done.stdout.splitlines()
    started = [line for line in done.stdout.splitlines() if line.endswith(": training")]
    assert len(started) in (2, 3)  # the second one may have been refused before the first one's end was seen
    assert [point.status for point in sweep_state(base, whole.id)] == ["missing"] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "none"], "--jobs none: required a number from 1 on, or auto"),
        (["--devices", "0"], "--devices 0: required training.device auto or cuda, found cpu"),
    ],
)
def test_a_number_that_cannot_be_is_told_before_anything(
    arguments: list[str], message: str, config: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--config", str(config), "--lambdas", "1", "--base-dir", str(base), *arguments]) == 2
    assert capsys.readouterr() == ("", f"fpnkit.sweep: {message}\n")
    assert list(base.iterdir()) == []
