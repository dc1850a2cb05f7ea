"""How far something is: a bar on a terminal, a line a minute anywhere else; and whoever listens is told."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from fpnkit.foundation import text
from fpnkit.foundation.steps import Step, count

_log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0

Item = TypeVar("Item")


class Progress:
    """Counts to `total`; a context, so that a bar goes away in the end."""

    def __init__(
        self, what: str, total: int = 0, unit: str = "image", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._total, self._unit, self._clock = what, total, unit, clock
        self._bar: tqdm[Any] | None = tqdm(desc=what, total=total, unit=unit, leave=False) if _on_terminal() else None
        self._done, self._started = 0, clock()
        self._said = self._started
        count(Step(self._what, self._done, self._total))

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()
        count(None)

    def step(self) -> None:
        """One more is done."""
        self.reach(self._done + 1)

    def reach(self, done: int, total: int | None = None) -> None:
        """So many are done; `total` if it was not known."""
        before, self._done, self._total = self._done, done, total or self._total
        count(Step(self._what, self._done, self._total))
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.update(done - before)
            return
        now = self._clock()
        if now - self._said >= _EVERY_SECONDS and done < self._total:
            self._said = now
            left = text.duration((now - self._started) * (self._total - done) / max(1, done))
            _log.info("%s: %d of %d %ss, about %s left", self._what, done, self._total, self._unit, left)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def progress(items: Sequence[Item], what: str, unit: str = "image") -> Iterator[Item]:
    """Each item, counted when the next is asked for."""
    with Progress(what, len(items), unit) as counted:
        for item in items:
            yield item
            counted.step()
