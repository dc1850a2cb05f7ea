"""Stop a training, gracefully or immediately."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from fpnkit.errors import RunError, StorageError
from fpnkit.foundation import clock, slurm
from fpnkit.foundation.files import write_text
from fpnkit.foundation.processes import host_name, process_lives
from fpnkit.launch.launchers import facts, load, run_of
from fpnkit.launch.local import end_process
from fpnkit.launch.protocol import How, Launch
from fpnkit.launch.queue import jobs
from fpnkit.launch.slurm import SlurmLaunch, end_all
from fpnkit.launch.sweep import is_plan
from fpnkit.runs import layout
from fpnkit.runs.job import read_job
from fpnkit.runs.record import read_record
from fpnkit.runs.status import status_of


def stop(target: Launch | Path, how: How = "graceful") -> str:
    """Ask a command, the process of a run directory, or the jobs of a sweep's plan to end; return what was done.

    `graceful`: it finishes the step, saves its state and can be resumed; asking again changes nothing. `now`: the same
    the first time, then it ends immediately with its last saved state. `kill`: immediately, with all its children.
    Raises RunError if the process is gone, even if another one has its pid now.
    """
    if isinstance(target, Launch):
        record = facts(target)
        ongoing = [] if record.sweep is None else jobs(target.base_dir, record.sweep)
        if target.lives():
            said = _end(target, target.label, how, target.end)
            return "; ".join([said, *([_stop_jobs(ongoing, how)] if ongoing else [])])
        if record.launched is not None and Path(record.launched).exists():
            return stop(load(Path(record.launched)), how)
        if ongoing:
            return _stop_jobs(ongoing, how)
        run = None if target.here else run_of(target)
        if run is None:
            raise RunError(f"{target.label} on {target.host}: is not running")
        target = run
    if is_plan(target):
        if not (ongoing := jobs(target.parent.parent, target.stem)):
            raise RunError(f"sweep {target.stem}: no job of it is queued or running")
        return _stop_jobs(ongoing, how)
    return _stop_run(target, how)


def asked(target: Launch | Path) -> bool:
    """Whether `stop` has asked it to end since it was started or resumed, possibly from another process."""
    if isinstance(target, Path):
        return (target / layout.STOP).exists()
    with contextlib.suppress(RunError):
        target = load(target.file)
    run = None if target.stop_asked else run_of(target)
    return target.stop_asked is not None or (run is not None and asked(run))


def _stop_run(run_dir: Path, how: How) -> str:
    record = read_record(run_dir)
    status, job = status_of(run_dir, record), read_job(run_dir)
    if status.word == "queued" and job is not None:
        return _end_job(job.id, "cancelled", None)
    if status.word not in ("running", "stale"):
        raise RunError(f"{run_dir}: is not running, it is {status.word}")
    if record.host != host_name():
        if how != "graceful" and job is not None:
            return _end_job(job.id, "killed" if how == "kill" else "stopped", "KILL" if how == "kill" else None)
        if how != "graceful":
            raise RunError(f"{run_dir}: runs on {record.host}; from here it can only be asked to stop gracefully")
        write_text(run_dir / layout.STOP, "")
        return f"asked the run on {record.host} to stop; it looks once a second, after a step"
    if record.pid is None or not process_lives(record.pid, record.pid_created or "", record.pid_start):
        raise RunError(f"{run_dir}: process {record.pid} is not running")  # it ended in this moment
    return _end(run_dir, f"process {record.pid}", how, partial(end_process, record.pid))


def _stop_jobs(ongoing: Sequence[Launch], how: How) -> str:
    todo = [each for each in ongoing if isinstance(each, SlurmLaunch)]
    if how == "graceful":
        todo = [each for each in todo if not each.begun or not asked(each)]
        if not todo:
            return "its jobs were asked to stop before; they end after their step"
    begun = [each for each in todo if each.begun]
    said = end_all(todo, how)
    if how != "kill":
        for each in begun:  # what had not begun is gone
            with contextlib.suppress(StorageError):
                _note(each)
    return said


def _end_job(job: str, done: str, signal: str | None) -> str:
    try:
        slurm.cancel(job, signal=signal)
    except slurm.SchedulerError as error:
        raise RunError(f"job {job}: cannot be ended: {error}") from error
    return f"{done} job {job}"


def _end(target: Launch | Path, label: str, how: How, end: Callable[[How], str]) -> str:
    if how == "graceful" and asked(target):
        return f"{label} was asked to stop before; it ends after its step"
    said = end(how)
    if how != "kill":
        with contextlib.suppress(StorageError):  # a full disk does not keep it from stopping
            _note(target)
    return said


def _note(target: Launch | Path) -> None:
    """Record the request for `asked`.

    Done after the signal; otherwise the trainer might name the file as the reason.
    """
    run = run_of(target) if isinstance(target, Launch) else target
    if run is not None:
        write_text(run / layout.STOP, "")
    elif isinstance(target, Launch):
        replace(target, stop_asked=clock.to_text(clock.now())).write()
