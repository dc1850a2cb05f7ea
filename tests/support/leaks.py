"""What tests must not leave behind: processes, threads, and files that only the garbage collector closes."""

import contextlib
import gc
import os
import threading
from collections.abc import Iterator

import psutil

from tests.support import warm
from tests.support.run_processes import until

MARK = "FPNKIT_TEST_PROCESS"  # in the environment of all that this process starts, and of what that starts


def mark() -> None:
    os.environ[MARK] = str(os.getpid())


def forget_what_stays() -> None:
    """Collecting garbage is quick from now on: modules are not gone through again."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def none() -> Iterator[None]:
    """Fails if what is started within is not ended within; what only the collector closes is an error of pytest's."""
    processes, threads = set(_processes()), set(_threads())
    yield
    gc.collect()
    with contextlib.suppress(AssertionError):  # they may need a moment to end
        until(lambda: set(_processes()) <= processes and set(_threads()) <= threads, 5)
    left = [command for pid, command in _processes().items() if pid not in processes]
    left += [str(thread) for thread in _threads() if thread not in threads]
    assert left == [], f"left behind: {left}"


def _threads() -> list[threading.Thread]:
    """Without the clock of pytest-timeout."""
    threads = [thread for thread in threading.enumerate() if not thread.daemon]
    return [thread for thread in threads if not thread.name.startswith("pytest_timeout")]


def _processes() -> dict[int, str]:
    """Those that descend from this one, however far away; without the server that stays until it ends."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get(MARK) == str(os.getpid()) and process.status() != psutil.STATUS_ZOMBIE
            command = " ".join(process.cmdline())
            if ours and process.pid not in (os.getpid(), warm.server_pid()):
                found[process.pid] = command
    return found
