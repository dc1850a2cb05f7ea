"""What there is to see of trainings, by path: real processes, and sweeps of made runs."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.errors import ConfigError, RunError
from fpnkit.launch.launchers import look
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.protocol import SWEEP
from fpnkit.launch.request import make_request
from fpnkit.launch.stop import stop
from fpnkit.launch.sweep import write_sweep
from fpnkit.launch.twins import twins
from fpnkit.launch.watch import running, see
from tests.support.launch_processes import run_made
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config

Begin = Callable[..., LocalLaunch]


def test_a_training_from_its_start_to_its_kill(base: Path, launch: Begin) -> None:
    launched = launch("create", base)
    seen = see(launched.file)
    assert seen.running
    assert seen.status in ("starting", "running")
    run = run_made(launched)
    assert see(launched.file) == see(run)
    assert (see(run).status, see(run).run, see(run).failure) == ("running", run, None)
    assert [candidate.path for candidate in running(base)] == [run]
    until(lambda: look(launched).output[-1] == "line 2")
    stop(run, "kill")
    until(lambda: not launched.lives())
    seen = see(run)
    assert (seen.status, seen.running) == ("killed", False)
    assert seen.failure == f"{run}\nline 0\nline 1\nline 2"  # what it said last is nowhere but in its output
    assert running(base) == []


def test_one_that_failed_before_it_had_a_directory_shows_why(base: Path, launch: Begin) -> None:
    launched = launch("--set", "no", "--config", "x", module="fpnkit.train")
    until(lambda: not launched.lives())
    seen = see(launched.file)
    assert (seen.status, seen.running, seen.run) == ("failed", False, None)
    assert running(base) == []
    assert seen.failure == "--set no: required key.path=value, such as training.lr=1e-4"


def test_one_whose_run_directory_is_gone_is_not_about_to_start(base: Path, launch: Begin) -> None:
    launched = launch("create", base, "--heartbeat", 1000)
    run = run_made(launched)
    until(lambda: look(launched).output[-1] == "line 2")
    shutil.rmtree(run)
    (candidate,) = running(base)
    told = f"process {launched.pid}: its run directory is gone"
    assert (candidate.path, candidate.label) == (launched.file, told)
    seen = see(candidate.path)
    assert (f"{seen.name}: {seen.reason}", seen.status, seen.running) == (told, "running", True)
    stop(launched)
    until(lambda: not launched.lives())
    assert running(base) == []
    assert (see(launched.file).status, see(launched.file).reason) == ("failed", "its run directory is gone")


def test_what_is_gone_is_one_error(base: Path) -> None:
    for path in (base / "run_1", base / ".launch" / "1.json"):
        with pytest.raises(RunError) as error:
            see(path)
        expected = f"{path}/run.json: does not exist" if path.name == "run_1" else f"{path}: cannot be read: "
        assert str(error.value).startswith(expected)


def test_a_sweep_shows_all_of_its_plan_and_a_failed_one_its_message(base: Path, launch: Begin, tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    base.mkdir(parents=True)
    whole = plan(config, [1e-4, 1e-3, 2e-3, 3e-3])
    write_sweep(base, whole)
    make_run(base, whole.config(1e-3, 0), sweep=whole.id)
    far = make_run(base, whole.config(2e-3, 0), "running", sweep=whole.id)
    make_run(base, whole.config(3e-3, 0), "killed", sweep=whole.id)
    launched = launch("--config", config, "--lambdas", "1e-3", "2e-3", "--base-dir", base, module=SWEEP)
    until(lambda: not launched.lives())
    seen = see(launched.file)
    assert (seen.name, seen.status, seen.running, seen.failure) == (f"sweep {whole.id}", "ended", False, None)
    assert [point.status for point in seen.sweep] == ["missing", "finished", "running", "killed"]
    assert seen.run == far  # the one that runs
    refused = launch("--config", config, "--lambdas", "0", "--base-dir", base, module=SWEEP)
    until(lambda: not refused.lives())
    seen = see(refused.file)
    told = "--lambdas 0: loss.lambda: required a number greater than 0, found 0"
    assert (seen.status, seen.failure, seen.sweep) == ("failed", told, ())


def test_the_same_settings_are_found_running_whatever_they_are_called(base: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    base.mkdir(parents=True)
    make_run(base, plan(config, [1e-3]).config(1e-3, 0))  # finished: no twin
    same = make_run(base, plan(config, [1e-3], None, "training.keep_best=1").config(1e-3, 0), "running")
    make_run(base, plan(config, [2e-3]).config(2e-3, 0), "running")

    def found(lambdas: list[str], **flags: str) -> list[Path]:
        flagged = {f"--{name}": value for name, value in flags.items()}
        return [each.path for each in twins(make_request(config, lambdas, flagged, [], base))]

    assert found(["1e-3"]) == [same]
    assert found(["1e-3"], lr="2e-3") == []
    assert found(["5e-3"]) == []
    assert found(["1e-3", "5e-3"]) == [same]
    assert len(found(["1e-3", "2e-3"])) == 2


def test_a_request_is_the_command_that_a_person_would_type(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    one = make_request(config, [], {"--lr": "1e-3", "--epochs": None}, ["training.crop=128", "seed=1"], None)
    options = f"--config {config} --lr 1e-3 --set training.crop=128 --set seed=1"
    assert one.command == f"python -m fpnkit.train {options}"
    assert (one.config.training.lr, one.config.seed, one.lambdas) == (1e-3, 1, ())
    several = make_request(config, ["1e-3", "2e-3"], {}, [], tmp_path / "a b")
    assert (
        several.command == f"python -m fpnkit.sweep --config {config} --lambdas 1e-3 2e-3 --base-dir '{tmp_path}/a b'"
    )
    assert several.lambdas == (1e-3, 2e-3)
    for lambdas, told in ((["1", "1"], "--lambdas 1: appears twice, first as 1"), (["x"], "--lambda x: loss.lambda: ")):
        with pytest.raises(ConfigError) as error:
            make_request(config, lambdas, {}, [], None)
        assert str(error.value).startswith(told)


def test_none_of_it_needs_torch() -> None:
    from tests.support.run_processes import python

    modules = "launchers, local, needs, output, request, stop, sweep, tail, watch, foreground"
    done = python(
        f"import sys; from fpnkit.launch import {modules}; import fpnkit.sweep; print('torch' in sys.modules)"
    )
    assert (done.stdout, done.stderr) == ("False\n", ""), sys.executable
