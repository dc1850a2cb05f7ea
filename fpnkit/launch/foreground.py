"""Run processes one after another in the foreground."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from fpnkit.foundation.process_record import ProcessRecord, Reporter, read_process_record, record_environment
from fpnkit.foundation.signals import StopSignals

_STDERR = 2


class Foreground(StopSignals):
    """A context in which SIGINT, SIGTERM and SIGHUP go to the process that runs, once each; `asked` is the first.

    The process has its own session; otherwise Ctrl-C in a terminal would reach it twice and end it immediately.
    It shares our output; with `quiet_stdout`, what it prints goes to stderr.
    """

    def __init__(self, *, quiet_stdout: bool = False, report: Reporter | None = None) -> None:
        """`report` is told where the process that runs keeps its record."""
        super().__init__()
        self._report = report
        self._stdout = _STDERR if quiet_stdout else None
        self.asked: str | None = None
        self._pending: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, argv: Sequence[str]) -> tuple[int, ProcessRecord]:
        """Run it and return its exit code (negative for a signal) and its facts."""
        with tempfile.TemporaryDirectory(prefix="fpnkit-") as folder:
            path = Path(folder) / "record.json"
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=self._stdout,
                start_new_session=True,
                env=record_environment(path),
            )
            self._tell(str(path))
            self._pass_on()  # what came while it was being started
            try:
                return self._process.wait(), read_process_record(path)
            finally:
                self._process = None
                self._tell(None)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Forward the signal, now or once the process has started."""
        self.asked = self.asked or signal.Signals(number).name
        self._pending.append(number)
        if self._process is not None:
            self._pass_on()

    def _tell(self, record: str | None) -> None:
        if self._report is not None:
            self._report.tell(inner=record)

    def _pass_on(self) -> None:
        while self._pending and self._process is not None:
            self._process.send_signal(self._pending.pop(0))
