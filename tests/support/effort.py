"""How long a harness looks for faults, from which seed, and what it counted.

A normal run does a few attempts, always the same. `pytest tests/faults -m slow` does many, from a new seed that it
prints. The environment can say more: FPNKIT_FAULTS_SEED, FPNKIT_FAULTS_MINUTES for each harness in place of its count,
and FPNKIT_FAULTS_FIRST, the attempt to begin with, which repeats one that failed.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

SAMPLE_SEED = 0


class Effort:
    """Attempts of one harness."""

    def __init__(self, name: str, count: int, *, long: bool) -> None:
        given = os.environ.get("FPNKIT_FAULTS_SEED") if long else None
        self.name, self.counted = name, Counter[str]()
        self.seed = int(given) if given else random.SystemRandom().randrange(10**6) if long else SAMPLE_SEED
        self._first = int(os.environ.get("FPNKIT_FAULTS_FIRST", "0")) if long else 0
        minutes = os.environ.get("FPNKIT_FAULTS_MINUTES") if long else None
        self._seconds = 60 * float(minutes) if minutes else None
        self.long, self._count, self._began = long, count, time.monotonic()
        self._now: int | None = None

    @property
    def size(self) -> int:
        """Attempts in all, for what counts them itself."""
        return self._count

    @property
    def seconds(self) -> float | None:
        """None: the count decides."""
        return self._seconds

    def attempts(self, wanted: Callable[[], bool] | None = None) -> Iterator[random.Random]:
        """A generator of random numbers for each, which depends on the seed and the attempt's number alone.

        `wanted`: whether more are, in place of the count.
        """
        number = self._first
        while self._goes_on(number, wanted):
            self._now = number
            yield random.Random(f"{self.seed} {self.name} {number}")
            self.counted["attempts"] += 1
            number += 1
        self._now = None

    def tell(self) -> str:
        """What was done, in a line."""
        done = ", ".join(f"{count} {what}" for what, count in self.counted.items())
        seconds = time.monotonic() - self._began
        at = "" if self._now is None else f"; ended in attempt {self._now}"
        return f"{self.name}: {done or 'nothing'} in {seconds:.0f} s with seed {self.seed}{at}"

    def _goes_on(self, number: int, wanted: Callable[[], bool] | None) -> bool:
        if self._seconds is not None:
            return time.monotonic() - self._began < self._seconds
        return number < self._first + self._count if wanted is None else wanted()


@pytest.fixture
def effort(request: pytest.FixtureRequest) -> Iterator[Effort]:
    """Of the harness that is named by the test's parameter, which `sizes` makes."""
    name, count, long = request.param
    made = Effort(name, count, long=long)
    yield made
    _print(request.config, made.tell(), long=long)


def _print(config: pytest.Config, line: str, *, long: bool) -> None:
    """What a long form did is seen while the others run."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if long and capture else contextlib.nullcontext():
        print(f"\n{line}", flush=True)


SLOW = [pytest.mark.slow, pytest.mark.timeout(6 * 3600)]


def sizes(name: str, sample: int = 0, long: int = 0) -> pytest.MarkDecorator:
    """Run the test twice: a sample in the normal suite, and the long form when slow tests are asked for."""
    values = [
        pytest.param((name, sample, False), id="sample"),
        pytest.param((name, long, True), id="long", marks=SLOW),
    ]
    return pytest.mark.parametrize("effort", values, indirect=True)
