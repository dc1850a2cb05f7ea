"""What slow work is doing: the step, how far it is, for how long already and for how long still.

Code that takes long is given a `Tell`; whoever waits puts a `StepClock` behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar

from fpnkit.foundation import text

_FEWEST_SECONDS = 1.0  # of counting, for a forecast


@dataclass(frozen=True)
class Step:
    """What begins or goes on."""

    what: str  # as of one: `reading run`; equal for what takes equally long
    done: int = 0
    of: int = 0  # 0: cannot be counted
    detail: str = ""  # behind `what`
    are_bytes: bool = False  # what is counted
    kind: Hashable = None  # steps of a kind take as long as last time; None: that is not known
    then: tuple[str, ...] = ()  # of the same kind, that follow

    @property
    def words(self) -> str:
        """What is done."""
        return f"{self.what} {self.detail}".strip()

    @property
    def count(self) -> str:
        """How far it is; empty if that is not known."""
        if not self.of:
            return ""
        if self.are_bytes:
            return f"{text.size(self.done)} of {text.size(self.of)}"
        return f"{min(self.done + 1, self.of):,} of {self.of:,}"


Tell = Callable[[Step], None]


def nobody(step: Step) -> None:
    """A `Tell` that nobody listens to."""


Count = Callable[[Step | None], None]
_counting: ContextVar[Count | None] = ContextVar("counting", default=None)


@contextmanager
def counted_by(listener: Count) -> Iterator[None]:
    """What is counted meanwhile in this thread is told to the listener."""
    before = _counting.set(listener)
    try:
        yield
    finally:
        _counting.reset(before)


def count(step: Step | None) -> None:
    """For what is counted many calls below whoever wants to know; None: it is over."""
    if (listener := _counting.get()) is not None:
        listener(step)


def timing(step: Step, spent: float, left: float | None) -> str:
    """`34 of 210 · 2 s · about 9 s left`; what is not known or under a second is left out."""
    parts = [step.count, _seconds(spent) if spent >= 1 else ""]
    parts += [f"about {_seconds(left)} left"] if left is not None and left >= 1 else []
    return " · ".join(part for part in parts if part)


def forecast(step: Step, spent: float) -> float | None:
    """Seconds that the step will still take, if it goes on as in the seconds that were spent on it."""
    if not step.of or not step.done or spent < _FEWEST_SECONDS:
        return None
    return spent * (step.of - step.done) / step.done


def _seconds(count: float) -> str:
    whole = round(count)
    return f"{whole} s" if whole < 60 else text.duration(whole)


class StepClock:
    """Times the steps of one piece of work, and remembers them as long as this process lives."""

    _took: ClassVar[dict[tuple[Hashable, str], float]] = {}

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.step: Step | None = None
        self._now = now
        self._began = self._since = now()  # the work, the step

    def tell(self, step: Step) -> None:
        """A step begins, or goes on."""
        if self.step is None or (step.what, step.kind) != (self.step.what, self.step.kind):
            self.end()
            self._since = self._now()
        self.step = step

    def end(self) -> None:
        """The step is complete."""
        if self.step is not None and self.step.kind is not None:
            self._took[self.step.kind, self.step.what] = self._now() - self._since
        self.step = None

    def timing(self) -> str:
        """How far the step is, seconds of the whole work, and seconds left if they can be known."""
        step = self.step
        return "" if step is None else timing(step, self._now() - self._began, self._left(step))

    def _left(self, step: Step) -> float | None:
        spent = self._now() - self._since
        own, usual = forecast(step, spent), self._took.get((step.kind, step.what))
        if own is None and usual is not None and usual >= spent:  # one that takes longer than usual is not foreseen
            own = usual - spent
        rest = [self._took.get((step.kind, each)) for each in step.then]
        known = [each for each in (own, *rest) if each is not None]
        return sum(known) if len(known) == 1 + len(rest) else None
