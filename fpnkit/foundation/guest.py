"""Commands in a process of somebody else's, such as a notebook's kernel, which goes on when they have ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from fpnkit.foundation.process_record import ProcessRecord


@dataclass
class Guest:
    """A command of the process that is not all of it."""

    argv: tuple[str, ...]  # as if it had a process of its own
    asked: signal.Signals | None = None  # the first signal that asked it to stop
    record: ProcessRecord = field(default_factory=ProcessRecord)

    def take(self, record: ProcessRecord) -> None:
        """Facts that the command recorded."""
        self.record = record


_current: ContextVar[Guest | None] = ContextVar("guest", default=None)


@contextmanager
def as_guest(guest: Guest) -> Iterator[None]:
    """What this thread does meanwhile is the guest's."""
    before = _current.set(guest)
    try:
        yield
    finally:
        _current.reset(before)


def current() -> Guest | None:
    """None: the process is the command's own."""
    return _current.get()


def argv() -> Sequence[str]:
    """The command line of this command."""
    guest = current()
    return sys.orig_argv if guest is None else guest.argv


def heard(number: int) -> None:
    """A signal has asked this command to stop."""
    guest = current()
    if guest is not None and guest.asked is None:
        guest.asked = signal.Signals(number)
