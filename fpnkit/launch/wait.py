"""Wait for a training in a script or a cell."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.launch.protocol import Launch
from fpnkit.launch.tail import MetricsTail
from fpnkit.launch.watch import TrainingState, see
from fpnkit.runs import layout

_LOOK_SECONDS = 0.2


def until_trains(launched: Launch, seconds: float = 600.0) -> Path:
    """Wait until it has written metrics, and return its run directory.

    Raises RunError if it ends before that or takes longer.
    """
    seen = _wait(launched.file, lambda seen: _trains(launched, seen) or not seen.running, seconds, "to train")
    if seen.run is None or not _trains(launched, seen):
        raise RunError(f"{seen.name}: ended before it trained: {seen.failure or seen.reason or seen.status}")
    return seen.run


def _trains(launched: Launch, seen: TrainingState) -> bool:
    """Whether there are metrics from after its start; a resumed run also has older ones."""
    if seen.run is None:
        return False
    tail = MetricsTail(seen.run / layout.METRICS)
    tail.read()
    last = clock.from_text(tail.recent[-1].time) if tail.recent else None
    started = clock.from_text(launched.started)
    return last is not None and started is not None and last >= started


def until_ended(target: Launch | Path, seconds: float = 600.0) -> TrainingState:
    """Wait for the end and return the final state.

    Raises RunError if it takes longer, or if the path is neither a run directory nor a launch.
    """
    path = target.file if isinstance(target, Launch) else target
    return _wait(path, lambda seen: not seen.running, seconds, "to end")


def _wait(path: Path, met: Callable[[TrainingState], bool], seconds: float, what: str) -> TrainingState:
    deadline = time.monotonic() + seconds
    while not met(seen := see(path)):
        if time.monotonic() >= deadline:
            raise RunError(f"{seen.name}: required {what} within {seconds:g} s, found it {seen.status}")
        time.sleep(_LOOK_SECONDS)
    return seen
