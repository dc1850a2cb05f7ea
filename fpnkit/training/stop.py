"""Requests to stop, by signal or by file."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

from fpnkit.foundation import guest
from fpnkit.foundation.signals import StopSignals
from fpnkit.runs.job import surrounding_job


class StopRequest(StopSignals):
    """A context in which a signal or a file requests a stop after the step; a second signal ends the process
    immediately, or, in a process of somebody else's, interrupts what it does. In a job of a scheduler only SIGINT does:
    that sends SIGTERM as often as it likes, and SIGKILL when it means it.
    """

    def __init__(self, file_exists: Callable[[], bool]) -> None:
        super().__init__()
        self._file_exists = file_exists
        self._next_look = 0.0
        self.reason: str | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Remember the reason; from now on a signal does what it does by default, or did before to a guest."""
        if self.reason is not None:
            return  # from a scheduler, which repeats itself
        self.reason = signal.Signals(number).name
        guest.heard(number)
        for each, handler in self.previous.items():
            if surrounding_job() is None or each == signal.SIGINT:
                signal.signal(each, signal.SIG_DFL if guest.current() is None else handler)

    def requested(self) -> bool:
        """Checks for the file at most once a second, because that takes milliseconds on a network disk."""
        if self.reason is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1.0
            if self._file_exists():
                self.reason = "STOP file"
        return self.reason is not None
