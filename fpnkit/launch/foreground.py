"""Run processes in the foreground, one after another or side by side."""

from __future__ import annotations

import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fpnkit.foundation.process_record import ProcessRecord, Reporter, read_process_record, record_environment
from fpnkit.foundation.signals import StopSignals

_STDERR = 2


@dataclass(eq=False)
class Child:
    """A process that was started."""

    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]  # of its record
    signals: int  # that it need not get: of all that arrived, those before it

    @property
    def record(self) -> Path:
        """Path of its facts."""
        return Path(self.folder.name) / "record.json"


@dataclass(frozen=True)
class EndedProcess:
    """A process that has ended."""

    key: object  # what it was started with
    code: int  # negative for a signal
    record: ProcessRecord


class Foreground(StopSignals):
    """A context in which SIGINT, SIGTERM and SIGHUP go to the processes that run, once each; `asked` is the first.

    Each process has its own session; otherwise Ctrl-C in a terminal would reach it twice and end it immediately.
    A process shares our output; with `quiet_stdout`, what it prints goes to stderr. Of one that has a label each line
    comes out whole, behind the label.
    """

    def __init__(self, *, quiet_stdout: bool = False, report: Reporter | None = None) -> None:
        """`report` is told where the process that runs, or runs longest, keeps its record."""
        super().__init__()
        self._report = report
        self._stdout = _STDERR if quiet_stdout else None
        self.asked: str | None = None
        self._signals: list[int] = []  # all that arrived
        self._passed = 0  # how many of them some process got
        self._children: dict[object, Child] = {}
        self._ended: queue.SimpleQueue[tuple[object, int]] = queue.SimpleQueue()

    @property
    def running(self) -> int:
        """How many processes were started and not waited for."""
        return len(self._children)

    def run(self, argv: Sequence[str]) -> tuple[int, ProcessRecord]:
        """Run it alone and return its exit code (negative for a signal) and its facts."""
        self.start(None, argv)
        ended = self.wait()
        return ended.code, ended.record

    def start(
        self,
        key: object,
        argv: Sequence[str],
        *,
        label: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; `wait` gives the key back. `environment` is added to ours."""
        folder = tempfile.TemporaryDirectory(prefix="fpnkit-")
        passed = self._passed
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self._stdout if label is None else subprocess.PIPE,
            stderr=None if label is None else subprocess.STDOUT,
            start_new_session=True,
            env={**record_environment(Path(folder.name) / "record.json"), **(environment or {})},
        )
        self._children[key] = Child(process, folder, passed)
        self._tell()
        self._pass_on()  # what came while it was being started
        threading.Thread(target=self._follow, args=(key, process, label), daemon=True).start()

    def wait(self) -> EndedProcess:
        """Wait for the next one that ends."""
        key, code = self._ended.get()
        child = self._children.pop(key)
        with child.folder:
            record = read_process_record(child.record)
        self._tell()
        return EndedProcess(key, code, record)

    def stop(self) -> None:
        """Ask all to stop, as a signal would."""
        for child in self._children.values():
            child.process.terminate()

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Forward the signal, now or once a process has started."""
        self.asked = self.asked or signal.Signals(number).name
        self._signals.append(number)
        self._pass_on()

    def _follow(self, key: object, process: subprocess.Popen[bytes], label: str | None) -> None:
        if process.stdout is not None:
            with process.stdout as lines:
                for line in lines:
                    print(f"{label}{line.decode(errors='replace').rstrip()}\n", end="", flush=True)  # in one piece
        self._ended.put((key, process.wait()))

    def _tell(self) -> None:
        if self._report is not None:
            first = next(iter(self._children.values()), None)
            self._report.tell(inner=None if first is None else str(first.record))

    def _pass_on(self) -> None:
        for child in list(self._children.values()):
            while child.signals < len(self._signals):
                child.signals += 1
                child.process.send_signal(self._signals[child.signals - 1])
                self._passed = len(self._signals)
