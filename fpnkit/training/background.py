"""Work in the background of training steps."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import torch

log = logging.getLogger(__name__)

_AHEAD = 2  # the best model and the full state of one epoch: so many copies of the weights are in memory at most


def one_core_thread(name: str) -> ThreadPoolExecutor:
    """A thread for work that must not slow down training."""
    torch.get_num_threads()  # settles this thread's own number, which the next line would change otherwise
    # One core: torch would otherwise give the thread a team as large as the training's own, and two teams waiting for
    # each other on the same cores made a step take more than twice as long.
    return ThreadPoolExecutor(1, name, initializer=torch.set_num_threads, initargs=(1,))


class BackgroundWriter:
    """Writes files in a thread, in the order given, while training continues.

    As a context manager it ends when everything is written. After a failure nothing more is written, so the disk looks
    as after a stop at that moment; the error is raised in the training thread.
    """

    def __init__(self, writes: bool = True) -> None:
        """`writes`: False for a process that leaves it to another."""
        self.writes = writes
        self._thread = one_core_thread("files")
        self._pending: deque[Future[None]] = deque()
        self._error: Exception | None = None

    def submit(self, write: Callable[[], None]) -> None:
        """Call `write` in the thread; it must not share state that training changes.

        Waits while two are pending. Raises the error of an earlier one.
        """
        if not self.writes:
            return
        while len(self._pending) >= _AHEAD:
            wait([self._pending[0]])
            self._pending.popleft()
        self.check()
        self._pending.append(self._thread.submit(self._do, write))

    def check(self) -> None:
        """Raise the error of a failed write, if any."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Wait until everything is written; raise the error if something failed."""
        wait(self._pending)
        self.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:
            self.check()
        elif self._error is not None and self._error is not error:
            log.warning("%s", self._error)  # what ends the training is the error that passes

    def _do(self, write: Callable[[], None]) -> None:
        if self._error is None:
            try:
                write()
            except Exception as error:
                self._error = error
