"""Jobs of a real Slurm, with a trainer that does not train."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.errors import RunError, StorageError, UserError
from fpnkit.foundation import slurm
from fpnkit.launch import launchers
from fpnkit.launch.launchers import find, look, run_of
from fpnkit.launch.queue import queued
from fpnkit.launch.slurm import SlurmLaunch, submit_array
from fpnkit.launch.stop import stop
from fpnkit.launch.watch import running, see
from fpnkit.runs.store import list_runs
from tests.support.launch_processes import PATIENCE
from tests.support.run_processes import until
from tests.support.slurm_server import SlurmServer

pytestmark = pytest.mark.slurm

Submit = Callable[..., list[SlurmLaunch]]


def states(base: Path) -> list[tuple[str, str | None]]:
    slurm.ask_again()
    return [(run.status, run.reason) for run in list_runs(base)] if base.exists() else []


def trains(launch: SlurmLaunch) -> bool:
    return run_of(launch) is not None


def test_an_array_runs_as_many_at_a_time_as_there_are_cores_and_the_rest_is_queued(base: Path, submit: Submit) -> None:
    one, two, three = submit(["create", base], ["create", base], ["create", base])
    array = one.job.partition("_")[0]
    assert [each.job for each in (one, two, three)] == [f"{array}_{task}" for task in range(3)]
    until(lambda: sum(trains(each) for each in (one, two, three)) == 2, PATIENCE)
    until(lambda: slurm.ask_again() or [each.told.endswith(": Resources") for each in queued(base)] == [True], PATIENCE)
    (waiting,) = queued(base)
    assert waiting.launch in (one, two, three)
    assert waiting.describe == f"{waiting.launch.label}: Resources: tests.support.fake_trainer"
    seen = see(waiting.launch.file)
    assert (seen.status, seen.running, seen.reason) == ("queued", True, f"{waiting.launch.label}: Resources")
    assert waiting.launch.file in [choice.path for choice in running(base)]
    assert states(base) == [("running", None)] * 2
    for each in (one, two, three):
        if each != waiting.launch:
            stop(each, "graceful")
    until(lambda: trains(waiting.launch), PATIENCE)  # it takes the core that came free
    assert sorted(path.name for path in (base / ".launch").glob("*.log")) == sorted(
        each.log.name for each in (one, two, three)
    )


def test_a_queued_job_is_cancelled_and_leaves_nothing_that_runs(base: Path, submit: Submit) -> None:
    launches = submit(*[["create", base]] * 3)
    until(lambda: sum(trains(each) for each in launches) == 2, PATIENCE)
    (waiting,) = [each for each in launches if not trains(each)]
    assert stop(waiting) == f"cancelled {waiting.label}, which had not begun"
    until(lambda: slurm.ask_again() or not waiting.lives())
    seen = see(waiting.file)
    assert (seen.status, seen.running, seen.reason) == ("stopped", False, "stopped before it began")
    with pytest.raises(RunError) as error:
        stop(waiting)
    assert str(error.value) == f"{waiting.label} on {waiting.host}: is not running"


def test_what_somebody_cancels_elsewhere_is_told_as_that(base: Path, submit: Submit, server: SlurmServer) -> None:
    (launch,) = submit(["create", base])
    until(lambda: trains(launch), PATIENCE)
    server.ask("scancel", "--signal=KILL", launch.job)
    until(lambda: states(base) == [("killed", f"{launch.label}: cancelled")], PATIENCE)
    run = run_of(launch)
    assert run is not None
    assert see(run).status == "killed"


def test_a_queued_job_that_somebody_cancels_elsewhere_says_so(base: Path, submit: Submit, server: SlurmServer) -> None:
    launches = submit(*[["create", base]] * 3)
    until(lambda: sum(trains(each) for each in launches) == 2, PATIENCE)
    (waiting,) = [each for each in launches if not trains(each)]
    server.ask("scancel", waiting.job)
    until(lambda: slurm.ask_again() or not waiting.lives())
    seen = see(waiting.file)
    assert (seen.status, seen.running, seen.failure) == ("failed", False, f"{waiting.label}: cancelled")


def test_of_an_array_one_may_fail(base: Path, submit: Submit) -> None:
    launches = submit(["create", base, "--end", 0, "finished"], ["create", base, "--end", 1, "no luck"], ["wrong"])
    until(lambda: slurm.ask_again() or not any(each.lives() for each in launches), PATIENCE)
    assert sorted(states(base)) == [("crashed", "no luck"), ("finished", None)]
    assert "error: argument what: invalid choice: 'wrong'" in (look(launches[2]).failure or "")


def test_a_run_is_stopped_by_its_file_and_killed_through_the_scheduler(base: Path, submit: Submit) -> None:
    one, two = submit(["create", base], ["create", base])
    until(lambda: trains(one) and trains(two), PATIENCE)
    (run_of(one) or base).joinpath("STOP").touch()
    assert stop(two, "kill") == f"killed {two.label}"
    until(lambda: [word for word, _ in sorted(states(base))] == ["killed", "stopped"], PATIENCE)
    killed, stopped = sorted(states(base))
    # Its processes are killed first: whether the job is then cancelled or ends by itself is a race.
    assert killed[1] in (f"{two.label}: cancelled", f"{two.label}: has ended")
    assert stopped[1] == "STOP file"


def test_a_scheduler_that_is_away_for_a_while_loses_nothing(base: Path, submit: Submit, server: SlurmServer) -> None:
    one, two, three = launches = submit(*[["create", base, "--lines", 50]] * 3)
    until(lambda: sum(trains(each) for each in launches) == 2, PATIENCE)
    (waiting,) = [each for each in launches if not trains(each)]
    begun = next(each for each in launches if trains(each))
    server.stop_controller()
    try:
        slurm.ask_again()
        assert see(waiting.file).reason == f"{waiting.label}: the scheduler does not answer"
        assert see(waiting.file).status == "queued"
        run = run_of(begun)
        assert run is not None
        assert see(begun.file).status == "running"  # from its files
        (run / "STOP").touch()
        until(lambda: see(run).status == "stopped", PATIENCE)
    finally:
        server.start_controller()
        slurm.ask_again()
    until(lambda: trains(waiting), PATIENCE)
    assert {one, two, three} == set(find(base))


def test_what_sbatch_refuses_is_one_message_and_leaves_nothing(base: Path, submit: Submit) -> None:
    for options, message in (
        ({"partition": "nowhere"}, "sbatch refused: invalid partition specified: nowhere; "),
        ({"tyme": "3"}, "sbatch refused: unrecognized option '--tyme=3'"),
        ({"array": "0-3"}, "slurm.array: is set by fpnkit itself; required other options of sbatch"),
    ):
        with pytest.raises(UserError) as error:
            submit(["create", base], **options)
        assert str(error.value).startswith(message)
        assert not base.exists()


def test_a_command_with_a_secret_is_refused(base: Path, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "abcdef0123456789")
    with pytest.raises(UserError) as error:
        submit(["create", base, "--secret", "abcdef0123456789"])
    assert str(error.value) == "a job keeps its command in a file: required none that names a secret"
    assert not base.exists()


def test_a_submitter_without_slurm_says_what_is_missing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with pytest.raises(UserError) as error:
        launchers.submit_to_slurm([["true"]], base, {})
    assert str(error.value) == "required Slurm's commands, such as sbatch and squeue, found none on this machine"
    assert not base.exists()


def test_a_submission_that_cannot_be_written_submits_nothing(
    base: Path, server: SlurmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(launch: SlurmLaunch) -> None:
        raise StorageError("no space left")

    monkeypatch.setattr(SlurmLaunch, "write", full)
    with pytest.raises(StorageError):
        submit_array([["true"]], base / "x.log", {})
    assert server.queue() == ""


def test_two_arrays_of_the_same_second_have_names_of_their_own(base: Path, submit: Submit) -> None:
    many = [each for _ in range(4) for each in submit(["create", base], ["create", base])]
    assert len({each.file for each in many}) == 8
    assert {each.job for each in find(base) if isinstance(each, SlurmLaunch)} == {each.job for each in many}


def test_a_job_has_as_many_threads_as_cores(base: Path, server: SlurmServer, tmp_path: Path) -> None:
    told = tmp_path / "threads"
    code = f"import os, pathlib; pathlib.Path({str(told)!r}).write_text(os.environ['OMP_NUM_THREADS'])"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    submit = (
        "import sys, pathlib; from fpnkit.launch.launchers import submit_to_slurm;"
        f"submit_to_slurm([[sys.executable, '-c', {code!r}, '-m', 'x']], pathlib.Path({str(base)!r}),"
        " {'cpus-per-task': 2})"
    )
    subprocess.run([sys.executable, "-c", submit], check=True, env=environment, timeout=60)
    until(told.exists, PATIENCE)
    until(lambda: told.read_text() == "2")
