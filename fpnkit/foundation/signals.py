"""Signals that ask a process to stop."""

import signal
import threading
from abc import ABC, abstractmethod
from types import FrameType, TracebackType
from typing import Any, Self

from fpnkit.foundation import guest


class EarlyStop:
    """A context in which SIGINT raises KeyboardInterrupt, even if an import turns it into another error.

    If an import swallows it, `check` raises it again. Nothing changes if SIGINT is ignored or in another thread.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if _hears() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            self._previous = signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if isinstance(error, Exception):
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self._asked:
            raise KeyboardInterrupt

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        guest.heard(number)
        raise KeyboardInterrupt


class StopSignals(ABC):
    """A context in which SIGINT, SIGTERM and SIGHUP call `receive`.

    Handlers are installed even if SIGINT was ignored, as in a process that a script started with `&`. Nothing changes
    in another thread than the main one, where Python allows no handlers.
    """

    def __init__(self) -> None:
        self.previous: dict[signal.Signals, Any] = {}  # handlers to return to

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _hears() else ():
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` ignores it on purpose
                self.previous[number] = signal.signal(number, self.receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    @abstractmethod
    def receive(self, number: int, frame: FrameType | None) -> None:
        """Called when a signal arrives."""


def _hears() -> bool:
    return threading.current_thread() is threading.main_thread()
