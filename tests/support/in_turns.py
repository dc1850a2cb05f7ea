"""Two ways of doing the same work, timed in turns, so that whatever else the machine does slows both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

T = TypeVar("T")

Side = Callable[[], Callable[[], T]]  # makes everything ready and returns what is timed


@dataclass(frozen=True)
class Timed(Generic[T]):
    seconds: float
    result: T


@dataclass(frozen=True)
class Comparison(Generic[T]):
    pairs: Sequence[tuple[Timed[T], Timed[T]]]

    def table(self, title: str, names: tuple[str, str], units: int, unit: str) -> str:
        """Milliseconds a unit of work on each side, and the first side's time over the second's, pair by pair."""
        rows = [
            (f"{name}, ms/{unit}", [1e3 * pair[side].seconds / units for pair in self.pairs])
            for side, name in enumerate(names)
        ]
        rows.append((f"ratio of {len(self.pairs)} pairs", [a.seconds / b.seconds for a, b in self.pairs]))
        lines = [f"{name:56}{median(v):10.3f}{min(v):10.3f}{max(v):10.3f}" for name, v in rows]
        return "\n".join(["", title, f"{'':56}{'median':>10}{'min':>10}{'max':>10}", *lines])


def in_turns(first: Side[T], second: Side[T], repetitions: int) -> Comparison[T]:
    """A, B, A, B, …; the first pair warms up and is not counted."""
    pairs = [(_timed(first), _timed(second)) for _ in range(repetitions + 1)]
    return Comparison(pairs[1:])


def _timed(side: Side[T]) -> Timed[T]:
    work = side()
    start = time.perf_counter()
    result = work()
    return Timed(time.perf_counter() - start, result)
