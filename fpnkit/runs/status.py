"""The state of a run, worked out from facts each time it is asked for.

exit record             → finished (code 0) · stopped (130, on request) · crashed (any other)
none, on this host      → running if its very process lives, else killed
none, on another host   → running if the heartbeat is fresh, else stale
"""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import psutil

from fpnkit.runs import clock
from fpnkit.runs.record import RunRecord

StatusWord = Literal["running", "finished", "stopped", "crashed", "killed", "stale", "incomplete", "imported"]

EXIT_FINISHED = 0
EXIT_CRASHED = 1
EXIT_STOPPED = 130

_MISSED_BEATS = 3
# The creation time is boot time plus ticks, and Linux gives the boot time in whole seconds that may flip by one.
_CREATED_TOLERANCE = timedelta(seconds=2)


@dataclass(frozen=True)
class RunStatus:
    """One word, and why where there is more to say."""

    word: StatusWord
    reason: str | None = None


def run_status(record: RunRecord, *, now: datetime | None = None) -> RunStatus:
    """The state of a run; `now` is for tests and lists, which ask once for many."""
    if record.exit_code is not None:
        return _exit_status(record.exit_code, record.exit_reason)
    age = _heartbeat_age(record, now or clock.now())
    if record.host == host_name() and record.pid is not None and record.pid_created is not None:
        if process_lives(record.pid, record.pid_created, record.pid_start):
            return RunStatus("running")
        return RunStatus("killed", f"process {record.pid} is gone")
    # A heartbeat from the future is a clock that was wrong: as little a sign of life as an old one.
    if age is not None and abs(age).total_seconds() <= _MISSED_BEATS * record.heartbeat_seconds:
        return RunStatus("running", f"on {record.host}")
    return RunStatus("stale", f"no sign of life from {record.host} since {record.heartbeat}")


def host_name() -> str:
    """How this machine is called in run.json."""
    return socket.gethostname()


def own_process() -> tuple[int, str]:
    """pid and creation time of this process."""
    pid = os.getpid()
    return pid, clock.to_text(_created(psutil.Process(pid)))


def process_start(pid: int) -> str | None:
    """The boot and the tick in which a process began: no change of the clock moves them. None without Linux' /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}/{int(after_name[19])}"
    except (OSError, ValueError, IndexError):
        return None


def process_lives(pid: int, created: str, start: str | None = None) -> bool:
    """Whether the process that was created then lives: not a later one with its pid, nor its remains.

    `start`, where it is known, decides alone: the creation time is told by the wall clock, and moves when that is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if start is not None and (found := process_start(pid)) is not None:
            return found == start
        expected = clock.from_text(created)
        return expected is not None and abs(_created(process) - expected) <= _CREATED_TOLERANCE
    except (psutil.Error, ValueError, OverflowError):
        return False


def _created(process: psutil.Process) -> datetime:
    return datetime.fromtimestamp(process.create_time()).astimezone()


def _exit_status(code: int, reason: str | None) -> RunStatus:
    word: StatusWord = {EXIT_FINISHED: "finished", EXIT_STOPPED: "stopped"}.get(code, "crashed")  # type: ignore[assignment]
    return RunStatus(word, None if reason == word else reason)


def _heartbeat_age(record: RunRecord, now: datetime) -> timedelta | None:
    heartbeat = clock.from_text(record.heartbeat)
    return None if heartbeat is None else now - heartbeat
