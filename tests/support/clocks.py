"""Processes whose clock is not ours, perhaps on a host of another name."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

# libfaketime 0.9.10 cannot be taken: with a monotonic clock that goes on, Python's `time.sleep` fails under it.
_LIBRARY = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) {
        char seconds[32] = {0};
        int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
        if (file >= 0) {
            if (read(file, seconds, sizeof seconds - 1) > 0)
                now->tv_sec += atol(seconds);
            close(file);
        }
    }
    return failed;
}
"""


class Clock:
    """The wall clock of the processes that get `environment`; the monotonic one and times of files stay as they are."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or not os.path.isdir("/proc"):
            pytest.skip("needs Linux and a C compiler")
        folder.mkdir()
        self._ahead, self._library = folder / "ahead", folder / "clock.so"
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(self._library)]
        subprocess.run(command, input=_LIBRARY, text=True, check=True)
        self.set(0)

    def set(self, hours: float) -> None:
        """From now on it is ahead by so much."""
        new = self._ahead.with_suffix(".new")
        new.write_text(f"{hours * 3600:.0f}")
        os.replace(new, self._ahead)

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "LD_PRELOAD": str(self._library), "CLOCK_AHEAD": str(self._ahead)}


def on_host(name: str, command: Sequence[str]) -> list[str]:
    """The command in a process whose host is called so; the name stays that of the process and what it starts."""
    shell = f'hostname {name} && exec "$@"'
    begin = ["unshare", "--uts", "sh", "-c", shell, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*begin, "true"], capture_output=True).returncode:
        pytest.skip("needs to be root, and unshare")
    return [*begin, *command]
