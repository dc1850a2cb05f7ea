"""How far, for how long and for how long still."""

import pytest

from fpnkit.foundation.steps import Step, StepClock, timing
from tests.support.panel_tools import Clock


@pytest.mark.parametrize(
    ("step", "spent", "left", "expected"),
    [
        (Step("reading run", 33, 210), 2.1, 9.4, "34 of 210 · 2 s · about 9 s left"),
        (Step("reading run", 210, 210), 0.2, None, "210 of 210"),
        (Step("packing", 34_000_000, 210_000_000, are_bytes=True), 3.0, None, "34 MB of 210 MB · 3 s"),
        (Step("encoding"), 0.9, 0.4, ""),
        (Step("encoding"), 75.0, 61.0, "1m15s · about 1m01s left"),
        (Step("looking at run", 1999, 10000), 0.0, None, "2,000 of 10,000"),
    ],
)
def test_only_what_is_known_is_said(step: Step, spent: float, left: float | None, expected: str) -> None:
    assert timing(step, spent, left) == expected


def test_what_is_counted_is_foreseen_by_its_own_speed_and_not_too_soon() -> None:
    now = Clock()
    clock = StepClock(now)
    clock.tell(Step("reading run", 0, 100))
    now.seconds += 0.9
    clock.tell(Step("reading run", 50, 100))
    assert clock.timing() == "51 of 100"
    now.seconds += 1.1
    assert clock.timing() == "51 of 100 · 2 s · about 2 s left"
    clock.tell(Step("reading run", 50, 100, then=("drawing",)))
    assert clock.timing() == "51 of 100 · 2 s"  # nobody knows how long drawing takes


def test_steps_of_a_kind_are_foreseen_by_the_last_time_until_they_take_longer() -> None:
    now, kind = Clock(), object()
    for seconds in (40.0, 4.0):
        clock = StepClock(now)
        clock.tell(Step("encoding", kind=kind, then=("decoding",)))
        now.seconds += seconds
        clock.tell(Step("decoding", kind=kind))
        now.seconds += 2 * seconds
        clock.end()
    clock = StepClock(now)
    clock.tell(Step("encoding", kind=kind, then=("decoding",)))
    now.seconds += 1
    assert clock.timing() == "1 s · about 11 s left"
    now.seconds += 4
    assert clock.timing() == "5 s"
    clock.tell(Step("decoding", kind=kind))
    now.seconds += 2
    assert clock.timing() == "7 s · about 6 s left"
    other = StepClock(now)
    other.tell(Step("encoding", kind=object(), then=("decoding",)))
    now.seconds += 1
    assert other.timing() == "1 s"
