"""Real trainings as jobs of a real Slurm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fpnkit as fk
from fpnkit.foundation import slurm
from fpnkit.launch.launchers import find, run_of
from fpnkit.launch.queue import jobs, queued
from fpnkit.launch.stop import stop
from fpnkit.launch.watch import see
from fpnkit.runs.job import SchedulerJob, read_job
from fpnkit.runs.record import read_record
from fpnkit.runs.store import list_runs
from tests.support import train_process
from tests.support.launch_processes import PATIENCE
from tests.support.run_processes import until
from tests.support.slurm_server import SlurmServer
from tests.support.train_process import lines, only_run, wait_for_lines
from tests.support.trainings_alike import assert_same_state

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("server")]

Fpnkit = Callable[..., "object"]


def job_done(base: Path) -> bool:
    slurm.ask_again()
    return not jobs(base)


def test_a_sweep_is_one_array_and_an_evaluation_and_is_never_submitted_twice(
    base: Path, config: Path, fpnkit: Fpnkit
) -> None:
    command = ["--config", config, "--base-dir", base, "--on", "slurm", "--slurm", "time=20", "--evaluate"]
    command += ["--set", 'data.test={"kind": "shapes", "images": 2, "seed": 5}', "--epochs", 1]
    command += ["--lambdas", "1e-3", "1e-2", "1e30"]
    first = fpnkit("sweep", *command)
    assert first.returncode == 0, first.stderr
    launches = find(base)
    array = next(each.job.partition("_")[0] for each in launches if each.module == "fpnkit.train")
    (evaluation,) = [each for each in launches if each.module == "fpnkit.evaluate"]
    assert first.stdout.splitlines()[-5:] == [
        *(f"[{n}/3] lambda {x}, seed 0: training: submitted as job {array}_{n - 1}" for n, x in _NUMBERED),
        f"evaluate: submitted as {evaluation.label}, after the training",
        "the queue: squeue --me; how far they are: this command again, or python -m fpnkit.runs",
    ]
    again = fpnkit("sweep", *command, "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert [point["action"] for point in report["points"]] == ["skip"] * 3
    assert len(find(base)) == 4
    waiting = [f"queued: {each.describe}" for each in queued(base)]
    assert any(line.endswith(": evaluate") for line in waiting)
    assert fpnkit("runs", "--base-dir", base).stdout.splitlines()[-1].startswith("queued: job ")
    until(lambda: job_done(base), 4 * PATIENCE)
    runs = {run.lmbda: run for run in list_runs(base)}
    assert {lmbda: run.status for lmbda, run in runs.items()} == {
        1e-3: "finished",
        1e-2: "finished",
        1e30: "crashed",
    }
    assert [lmbda for lmbda, run in sorted(runs.items()) if run.bpp is not None] == [1e-3, 1e-2]
    last = fpnkit("sweep", *command[: command.index("--evaluate")], *command[command.index("--evaluate") + 1 :])
    assert last.returncode == 0
    assert "2 finished, 1 diverged before" in last.stdout
    assert job_done(base)


_NUMBERED = [(1, "1e-3"), (2, "1e-2"), (3, "1e30")]


def test_a_job_whose_time_is_up_saves_waits_and_goes_on_to_the_same_weights(
    base: Path, tmp_path: Path, fpnkit: Fpnkit, server: SlurmServer
) -> None:
    config = train_process.write_config(tmp_path, tmp_path / "features", crops=8)
    submitted = fpnkit("train", "--config", config, "--base-dir", base, "--on", "slurm", "--slurm", "time=20")
    (launch,) = find(base)
    assert submitted.stdout == f"submitted as {launch.label}; its output: {launch.log}\n"
    run = wait_for_lines(base, 3)
    assert read_job(run) == SchedulerJob(launch.job, str(launch.log))
    server.ask("scancel", "--signal=USR1", launch.job)  # what Slurm sends before the limit
    until(lambda: "PENDING" in server.queue(), PATIENCE)
    slurm.ask_again()
    seen = see(run)
    assert (seen.status, seen.running) == ("queued", True)
    assert seen.reason == f"{launch.label}: BeginTime"
    refused = fpnkit("train", "--resume", run)
    assert refused.returncode == 2
    assert refused.stderr == f"fpnkit.train: {run}: is queued ({seen.reason}); cancel that first\n"
    server.hasten(launch.job)
    until(lambda: job_done(base), 3 * PATIENCE)
    told = launch.log.read_text()
    assert f"fpnkit: {launch.label}: SIGUSR1\n" in told
    assert f"fpnkit: {launch.label}: goes on with {run}\n" in told
    record = read_record(run)
    assert (record.exit_reason, len(record.resumed)) == ("finished", 1)
    assert train_process.train("--config", config, "--base-dir", tmp_path / "alone").returncode == 0
    alone = only_run(tmp_path / "alone")
    assert lines(run) == lines(alone)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == len(lines(alone))  # no gap, no line twice
    ours, theirs = (torch.load(each / "last.pth", weights_only=True)["learner"] for each in (run, alone))
    assert_same_state(ours, theirs)


def test_what_somebody_cancels_is_saved_and_goes_on_where_it_was_submitted(
    base: Path, tmp_path: Path, fpnkit: Fpnkit, server: SlurmServer
) -> None:
    config = train_process.write_config(tmp_path, tmp_path / "features", crops=500)
    fpnkit("train", "--config", config, "--base-dir", base, "--on", "slurm", "--slurm", "comment=ours")
    (first,) = find(base)
    run = wait_for_lines(base, 3)
    server.ask("scancel", first.job)
    until(lambda: see(run).status == "stopped", PATIENCE)
    until(lambda: job_done(base), PATIENCE)  # nobody asked for it to come back
    assert (see(run).status, see(run).reason) == ("stopped", f"{first.label}: cancelled")
    step = read_record(run).step
    again = fpnkit("train", "--resume", run, "--on", "slurm")
    assert again.returncode == 0, again.stderr
    second = next(each for each in find(base) if each.file != first.file)
    assert second.job != first.job
    assert "Comment=ours" in server.ask("scontrol", "show", "job", second.job)
    until(lambda: read_record(run).step > step, PATIENCE)
    stop(run)
    until(lambda: job_done(base), PATIENCE)
    assert see(run).status == "stopped"
    assert run_of(second) == run

    assert fpnkit("train", "--resume", run, "--on", "slurm", "--slurm", "begin=now+1hour").returncode == 0
    assert not (run / "STOP").exists()
    third = next(each for each in find(base) if each.job not in (first.job, second.job))
    (run / "STOP").touch()  # while it waits
    server.hasten(third.job)
    until(lambda: job_done(base), PATIENCE)
    assert f"{third.label}: there is a file {run / 'STOP'}; it does not go on" in third.log.read_text()
    assert (see(run).status, len(read_record(run).resumed)) == ("stopped", 1)


def test_the_section_of_the_config_and_the_flag_are_the_same(
    base: Path, config: Path, fpnkit: Fpnkit, server: SlurmServer
) -> None:
    config.write_text(config.read_text() + "slurm: {time: 00:20:00, nice: 7}\n")
    done = fpnkit("train", "--config", config, "--base-dir", base, "--on", "slurm", "--slurm", "time=00:30:00")
    assert done.returncode == 0, done.stderr
    told = server.ask("scontrol", "show", "job", find(base)[0].job)
    assert "TimeLimit=00:30:00" in told
    assert "Nice=7" in told


def test_from_python_a_sweep_is_submitted_and_not_waited_for(base: Path, config: Path) -> None:
    base.mkdir()
    table = fk.sweep(config, [1e-3, 2e-3], on="slurm", base_dir=base, slurm__time="00:20:00")
    assert len(find(base)) == 2
    assert len(table) == 0
    assert sorted(each.lmbda or 0.0 for each in queued(base)) == [1e-3, 2e-3]


MISSING = "data.train={kind: folder, images: /nowhere}"


def test_a_training_without_its_data_is_refused_before_it_waits(base: Path, config: Path, fpnkit: Fpnkit) -> None:
    done = fpnkit("train", "--config", config, "--base-dir", base, "--on", "slurm", "--set", MISSING)
    assert done.returncode == 2
    assert done.stderr == "fpnkit.train: /nowhere: required a folder of images, found nothing\n"
    assert not base.exists()


def test_what_is_wrong_with_a_submission_is_said_before_it(base: Path, config: Path, fpnkit: Fpnkit) -> None:
    for arguments, message in (
        (["--slurm", "time=3"], "--slurm time=3: required --on slurm beside it"),
        (["--on", "slurm", "--slurm", "partition=x"], "sbatch refused: invalid partition specified: x; "),
        (["--on", "slurm", "--slurm", "wrap=ls"], "slurm.wrap: is set by fpnkit itself; required other options"),
    ):
        for name, more in (("train", []), ("sweep", ["--lambdas", "1e-3"])):
            done = fpnkit(name, "--config", config, "--base-dir", base, *arguments, *more)
            assert done.returncode == 2
            assert done.stderr.startswith(f"fpnkit.{name}: {message}")
            assert not base.exists()
