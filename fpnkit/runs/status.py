"""The state of a run, computed from facts on every call.

exit record             → finished (code 0) · stopped (130, on request) · crashed (any other)
none, on this host      → running if its very process lives, else killed
none, on another host   → running if the heartbeat is fresh, by its own time or by that of its file; else stale

A run that has ended early is queued if its scheduler's job is to go on with it; why such a job ended is the reason of a
kill.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from fpnkit.errors import RunError
from fpnkit.foundation import clock, slurm
from fpnkit.foundation.processes import host_name, process_lives
from fpnkit.runs import layout
from fpnkit.runs.job import read_job
from fpnkit.runs.record import RunRecord, read_record

StatusWord = Literal["queued", "running", "finished", "stopped", "crashed", "killed", "stale", "incomplete", "imported"]
GOING_ON = ("queued", "running")
MAY_GO_ON = ("stopped", "crashed", "killed", "stale")  # as soon as a scheduler has a job for it

EXIT_FINISHED = 0
EXIT_CRASHED = 1
EXIT_STOPPED = 130

_MISSED_BEATS = 3
_LONGEST = 1e9  # seconds, which a timedelta can hold
_CLOCKS = timedelta(days=1)  # differ by less


@dataclass(frozen=True)
class RunStatus:
    """One word, and a reason if there is one."""

    word: StatusWord
    reason: str | None = None


def run_status(record: RunRecord, *, now: datetime | None = None) -> RunStatus:
    """The state of a run; `now` is for tests, and for lists that read the clock once."""
    if record.exit_code is not None:
        return _exit_status(record.exit_code, record.exit_reason)
    age = _heartbeat_age(record, now or clock.now())
    if record.host == host_name() and record.pid is not None and record.pid_created is not None:
        if process_lives(record.pid, record.pid_created, record.pid_start):
            return RunStatus("running")
        return RunStatus("killed", f"process {record.pid} is gone")
    # A heartbeat from the future means a wrong clock: no more a sign of life than an old one.
    if age is not None and abs(age) <= _silence(record):
        return RunStatus("running", f"on {record.host}")
    return RunStatus("stale", f"no sign of life from {record.host} since {record.heartbeat}")


def status_of(run: Path, record: RunRecord, *, now: datetime | None = None) -> RunStatus:
    """The state of a run, as its record and its scheduler tell."""
    status = run_status(record, now=now)
    if status.word == "stale" and _is_being_written(run, record, now or clock.now()):
        status = RunStatus("running", f"on {record.host}, whose clock differs")
    if status.word not in MAY_GO_ON or (job := read_job(run)) is None:
        return status
    found = slurm.find(job.id)
    if found is not None and found.waits:
        return RunStatus("queued", found.told)
    if status.word == "crashed":
        return status
    if found is not None and found.lives and found.state != "COMPLETING":  # of which none knows whether it comes back
        return RunStatus("queued", found.told)
    if status.word == "stopped" and status.reason != "SIGTERM":  # not by Slurm
        return status
    why = slurm.why_ended(job.id, Path(job.output))
    if status.word == "stopped" or (why is None and not slurm.answers()):
        return status if why is None else RunStatus(status.word, f"job {job.id}: {why}")
    return RunStatus("killed", f"job {job.id}: {why or 'has ended'}")


def no_model(run: Path) -> RunError:
    """That it has none so far, and whether to wait for it."""
    try:
        lives = status_of(run, read_record(run)).word in GOING_ON
    except RunError:
        lives = False
    said = f"run {run}: required {layout.BEST_MODEL}, found none; it has not finished an epoch"
    return RunError(f"{said}: try again when it has" if lives else said)


def beats_by_the_disk(run: Path, record: RunRecord, written_now: Path) -> bool:
    """Whether the heartbeat is fresh compared with a file that was just written, both by the clock of their disk."""
    try:
        age = os.stat(written_now).st_mtime - os.stat(run / layout.RUN_JSON).st_mtime
    except OSError:
        return False
    return record.exit_code is None and abs(age) <= _silence(record).total_seconds()


def _is_being_written(run: Path, record: RunRecord, now: datetime) -> bool:
    """By a process whose clock differs from ours; on a share a file's time is that of the server.

    A copy of a run has a new time as well, but rarely one close to the heartbeat in it.
    """
    heartbeat = clock.from_text(record.heartbeat)
    try:
        written = datetime.fromtimestamp(os.stat(run / layout.RUN_JSON).st_mtime).astimezone()
    except (OSError, ValueError, OverflowError):
        return False
    return heartbeat is not None and abs(now - written) <= _silence(record) and abs(written - heartbeat) <= _CLOCKS


def _silence(record: RunRecord) -> timedelta:
    """Longer than a live process is silent."""
    return timedelta(seconds=min(_MISSED_BEATS * record.heartbeat_seconds, _LONGEST))


def _exit_status(code: int, reason: str | None) -> RunStatus:
    word: StatusWord = {EXIT_FINISHED: "finished", EXIT_STOPPED: "stopped"}.get(code, "crashed")  # type: ignore[assignment]
    return RunStatus(word, None if reason == word else reason)


def _heartbeat_age(record: RunRecord, now: datetime) -> timedelta | None:
    heartbeat = clock.from_text(record.heartbeat)
    return None if heartbeat is None else now - heartbeat
