"""Being asked to stop, by a signal or by a file."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """A context in which SIGINT, SIGTERM, SIGHUP or a file ask for a stop after the step; a second signal ends at once.

    Handlers are installed even where SIGINT was ignored, as it is in a process that a script started with `&`.
    """

    def __init__(self, file_exists: Callable[[], bool]) -> None:
        self._file_exists = file_exists
        self._next_look = 0.0
        self._previous: dict[signal.Signals, Any] = {}
        self.reason: str | None = None

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` wants it ignored
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.reason = signal.Signals(number).name
        for each in self._previous:
            signal.signal(each, signal.SIG_DFL)

    def requested(self) -> bool:
        """Looks for the file once a second at most: a look costs milliseconds on a network disk."""
        if self.reason is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1.0
            if self._file_exists():
                self.reason = "STOP file"
        return self.reason is not None
