"""What Slurm says, as facts: with scripts in the place of its commands, for what one machine cannot make happen."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fpnkit.foundation import slurm
from fpnkit.runs.job import SchedulerJob, write_job
from fpnkit.runs.record import RunRecord
from fpnkit.runs.status import RunStatus, status_of

Stand = Callable[[str, str], None]

STEPD = "slurmstepd-node1: error: "


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """Puts a script in the place of a command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        _forget()

    put("squeue", "exit 1")
    put("sacct", "exit 1")
    yield put
    _forget()


def _forget() -> None:
    slurm.ask_again()
    slurm._has_accounting.cache_clear()
    slurm._accounted_once.cache_clear()


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("OUT_OF_MEMORY", "out of memory"),
        ("TIMEOUT", "time limit"),
        ("NODE_FAIL", "node failure"),
        ("CANCELLED", "cancelled"),
        ("PREEMPTED", "preempted"),
        ("COMPLETED", None),
        ("FAILED", None),
    ],
)
def test_why_a_job_ended(state: str, why: str | None, stand: Stand) -> None:
    stand("squeue", f"echo '7_0|{state}|NonZeroExitCode|node1'")
    assert slurm.why_ended("7_0", None) == why
    stand("squeue", "exit 0")  # the queue has forgotten it
    stand("sacct", f"case $* in *7_1*) echo '{state} by 1000';; esac")
    assert slurm.why_ended("7_1", None) == why


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("*** JOB 7 ON node1 CANCELLED AT 2026-11-27T10:50:52 DUE TO TIME LIMIT ***", "time limit"),
        ("*** JOB 7 ON node1 CANCELLED AT 2026-11-27T10:50:52 DUE TO PREEMPTION ***", "preempted"),
        (
            "*** JOB 7 ON node1 CANCELLED AT 2026-11-27T10:50:52 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***",
            "node failure",
        ),
        ("Detected 1 oom_kill event in StepId=7.batch. Some of the step tasks have been OOM Killed.", "out of memory"),
        ("Detected 1 oom-kill event(s) in step 7.batch cgroup.", "out of memory"),
        ("*** JOB 7 ON node1 CANCELLED AT 2026-11-27T10:50:52 ***", "cancelled"),
        ("*** JOB 7 ON node1 CANCELLED AT 2026-11-27T10:50:52 DUE TO JOB REQUEUE ***", None),
    ],
)
def test_without_accounting_the_output_tells(written: str, why: str | None, stand: Stand, tmp_path: Path) -> None:
    output = tmp_path / "out.log"
    earlier = f"{STEPD}*** JOB 7 ON node1 CANCELLED AT 2026-11-26T10:50:52 DUE TO PREEMPTION ***\n"
    output.write_text(f"{earlier}epoch 3: DUE TO NODE FAILURE\n{STEPD}{written}\nlast words\n")
    assert slurm.why_ended("7", output) == why
    output.write_text("CANCELLED AT noon, says the user's own program\n")
    assert slurm.why_ended("7", output) is None


def test_one_call_answers_for_all_jobs_for_a_while(stand: Stand, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    stand("squeue", f'echo x >> {asked}; for n in $(seq 0 999); do echo "9_$n|PENDING|Priority|"; done')
    assert {slurm.find(f"9_{n}") for n in range(1000)} == {
        slurm.Job(f"9_{n}", "PENDING", "Priority", "") for n in range(1000)
    }
    assert asked.read_text() == "x\n"
    slurm.ask_again()
    assert slurm.find("9_1000") is None
    assert asked.read_text() == "x\nx\n"


def test_a_scheduler_without_an_answer_is_not_asked_again_at_once(stand: Stand, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    stand("squeue", f"echo x >> {asked}; echo 'slurm_load_jobs error' >&2; exit 1")
    assert [slurm.answers() for _ in range(5)] == [False] * 5
    assert asked.read_text() == "x\n"


def test_a_scheduler_that_hangs_is_left(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_PATIENCE_SECONDS", 0.2)
    stand("squeue", "exec sleep 30")
    assert not slurm.answers()
    stand("scancel", "exec sleep 30")
    with pytest.raises(slurm.SchedulerError) as error:
        slurm.cancel("7")
    assert str(error.value) == "scancel: no answer within 0.2 s"


@pytest.mark.parametrize(
    ("queue", "exit_code", "expected"),
    [
        ("7|PENDING|Priority|", 130, RunStatus("queued", "job 7: Priority")),
        ("7|PENDING|None|", 130, RunStatus("queued", "job 7: pending")),
        ("7|RUNNING|None|node1", 130, RunStatus("queued", "job 7: running on node1")),  # it is about to go on
        ("7|COMPLETING|None|node1", 130, RunStatus("stopped", "SIGTERM")),
        ("7|TIMEOUT|None|node1", 130, RunStatus("stopped", "job 7: time limit")),
        ("7|COMPLETED|None|node1", 130, RunStatus("stopped", "SIGTERM")),
        ("7|PENDING|Priority|", 0, RunStatus("finished", "SIGTERM")),
        ("7|OUT_OF_MEMORY|None|node1", None, RunStatus("killed", "job 7: out of memory")),
        ("8|RUNNING|None|node1", None, RunStatus("killed", "job 7: has ended")),
        (None, None, RunStatus("stale", "no sign of life from node1 since None")),
    ],
)
def test_the_status_of_a_run_that_a_scheduler_has(
    queue: str | None, exit_code: int | None, expected: RunStatus, stand: Stand, tmp_path: Path
) -> None:
    stand("squeue", "exit 1" if queue is None else f"echo '{queue}'")
    record = RunRecord("id", "run", "fpn_compression", "", host="node1", exit_code=exit_code, exit_reason="SIGTERM")
    write_job(tmp_path, SchedulerJob("7", str(tmp_path / "missing.log")))
    assert status_of(tmp_path, record) == expected
