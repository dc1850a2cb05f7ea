"""Processes on this machine that outlive whoever started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import psutil

from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation import clock
from fpnkit.foundation.process_record import record_environment
from fpnkit.foundation.processes import host_name, process_lives, process_start
from fpnkit.foundation.redact import Redactor
from fpnkit.launch.protocol import TRAIN, How, Launch

_SIGNALS = {"graceful": signal.SIGINT, "now": signal.SIGTERM, "kill": signal.SIGKILL}
# Runs first in the new process: if SIGINT is ignored, as under a Jupyter that a script started with `&`, everything
# started ignores it too, and a stop would go unnoticed. A blocked signal is kept for later all the same.
_HEARING = [
    "import os, signal, sys",
    "signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])",
    "os.execv(sys.argv[1], sys.argv[1:])",
]


def command(arguments: Sequence[str], module: str = TRAIN) -> list[str]:
    """The command line, for the interpreter that runs this code."""
    return [sys.executable, "-u", "-m", module, *arguments]


@dataclass(frozen=True, kw_only=True)
class LocalLaunch(Launch):
    """A process in its own session, so that it outlives whoever started it."""

    launcher = "local"

    pid: int
    pid_created: str
    pid_start: str | None  # see `processes.process_start`

    @classmethod
    def submit(cls, argv: Sequence[str], log: Path) -> Self:
        """Start the process, append its output to `log`, and keep its facts in the record next to it.

        Raises FpnkitError, and then nothing runs.
        """
        process = _popen(argv, log)
        try:
            created = datetime.fromtimestamp(psutil.Process(process.pid).create_time()).astimezone()
            launch = cls(
                file=log.with_suffix(".json"),
                argv=tuple(Redactor(os.environ, argv).arguments(argv)),
                cwd=os.getcwd(),
                started=clock.to_text(clock.now()),
                host=host_name(),
                pid=process.pid,
                pid_created=clock.to_text(created),
                pid_start=process_start(process.pid),
            )
            launch.write()
            return launch
        except BaseException:
            process.kill()
            raise
        finally:
            # Waited for by a thread; otherwise it would stay a zombie for as long as this process lives.
            threading.Thread(target=process.wait, name="fpnkit reaper", daemon=True).start()

    @property
    def label(self) -> str:
        """`process <pid>`."""
        return f"process {self.pid}"

    @property
    def here(self) -> bool:
        """Whether this is the machine that started it."""
        return self.host == host_name()

    def lives(self) -> bool:
        """Whether this very process is alive; False on another machine."""
        return self.here and process_lives(self.pid, self.pid_created, self.pid_start)

    def end(self, how: How) -> str:
        """End it with a signal."""
        return end_process(self.pid, how)


def _popen(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    begin = [argv[0], "-ISc", "; ".join(_HEARING), *argv]
    environment = record_environment(log.with_suffix(".record"))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with open(log, "ab") as output:
            return subprocess.Popen(
                begin,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment,
            )
    except OSError as error:
        raise FpnkitError(f"{argv[0]}: could not be started: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_process(pid: int, how: How) -> str:
    """Signal this process alone; workers that end first would look like a crash. Raises RunError."""
    try:
        started = psutil.Process(pid).children(recursive=True) if how == "kill" else []
        os.kill(pid, _SIGNALS[how])
    except (ProcessLookupError, psutil.NoSuchProcess):
        raise RunError(f"process {pid}: is not running") from None
    except (PermissionError, psutil.AccessDenied):
        raise RunError(f"process {pid}: belongs to somebody else, who has to stop it") from None
    for process in started:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if how == "kill":
        return f"killed process {pid}"
    return f"sent {_SIGNALS[how].name} to process {pid}"
