"""Requests to stop, by signal or by file."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from fpnkit.foundation import guest
from fpnkit.foundation.signals import StopSignals
from fpnkit.runs.job import surrounding_job
from fpnkit.training.ranks import ALONE, Ranks

_FILE = 1000  # above all signals


class StopRequest(StopSignals):
    """A context in which a signal or a file requests a stop after the step; a second signal ends the process
    immediately, or, in a process of somebody else's, interrupts what it does. In a job of a scheduler only SIGINT does:
    that sends SIGTERM as often as it likes, and SIGKILL when it means it.

    Of several processes all stop if one is asked to. To them further signals are nothing, also afterwards: torchrun
    repeats what a terminal has sent to all already, and kills whoever has not ended after 30 s.
    """

    def __init__(self, file_exists: Callable[[], bool], ranks: Ranks = ALONE) -> None:
        super().__init__()
        self._file_exists, self._ranks = file_exists, ranks
        self._next_look = 0.0
        self._asked = 0  # the signal's number, or _FILE

    def __exit__(self, *error: Any) -> None:
        if self._ranks.size == 1:
            super().__exit__(*error)
        else:
            self._ignore()

    @property
    def reason(self) -> str | None:
        """The signal's name, or the file's."""
        return "STOP file" if self._asked == _FILE else signal.Signals(self._asked).name if self._asked else None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Remember the reason; from now on a signal does what it does by default, or did before to a guest."""
        if self._asked:
            return  # from a scheduler, which repeats itself
        self._asked = number
        guest.heard(number)
        if self._ranks.size > 1:
            self._ignore()
            return
        for each, handler in self.previous.items():
            if surrounding_job() is None or each == signal.SIGINT:
                signal.signal(each, signal.SIG_DFL if guest.current() is None else handler)

    def requested(self) -> bool:
        """Checks for the file at most once a second, because that takes milliseconds on a network disk."""
        if not self._asked and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1.0
            if self._file_exists():
                self._asked = _FILE
        agreed = self._ranks.largest(self._asked)  # a signal that comes meanwhile counts the next time
        if agreed:
            self._asked = agreed
        return agreed != 0

    def _ignore(self) -> None:
        for each in self.previous:
            signal.signal(each, signal.SIG_IGN)
