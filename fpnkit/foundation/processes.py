"""Identify a process; a pid alone may be reused."""

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from fpnkit.foundation import clock

# The creation time is boot time plus ticks, and Linux reports the boot time in whole seconds that may flip by one.
_CREATED_TOLERANCE = timedelta(seconds=2)


def host_name() -> str:
    """The name of this machine in run.json."""
    return socket.gethostname()


def own_process() -> tuple[int, str]:
    """pid and creation time of this process."""
    pid = os.getpid()
    return pid, clock.to_text(_created(psutil.Process(pid)))


def process_start(pid: int) -> str | None:
    """The boot and clock tick in which a process began, which do not depend on the wall clock.

    None without Linux's /proc.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}/{int(after_name[19])}"
    except (OSError, ValueError, IndexError):
        return None


def process_lives(pid: int, created: str, start: str | None = None) -> bool:
    """Whether the process created at that time is alive, and not a zombie or a later process with its pid.

    `start` decides alone if it is known, because the creation time follows the wall clock and moves when that is set.
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
