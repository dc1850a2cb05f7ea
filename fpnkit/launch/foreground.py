"""Processes one after another, in front of the person who waits for them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any


class Foreground:
    """A context in which SIGINT, SIGTERM and SIGHUP go to the process that runs, once each; `asked` is the first.

    The process has a session of its own: Ctrl-C in a terminal would else reach it a second time, and end it at once.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._pending: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Foreground:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` wants it ignored
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def run(self, argv: Sequence[str]) -> int:
        """Its exit code, negative for the signal that ended it. Its output goes where ours goes."""
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        self._pass_on()  # what came while it was being started
        try:
            return self._process.wait()
        finally:
            self._process = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or signal.Signals(number).name
        self._pending.append(number)
        if self._process is not None:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._pending and self._process is not None:
            self._process.send_signal(self._pending.pop(0))
