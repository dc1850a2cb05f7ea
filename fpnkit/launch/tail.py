"""The metrics of a run as they grow, and its speed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from fpnkit.foundation.files import from_json, parse_json
from fpnkit.runs.metrics import MetricsLine, Split
from fpnkit.runs.record import RunRecord

MOST_LINES = 1500  # of each split that are kept: more than a figure has pixels for
_CHUNK = 1 << 20  # bytes
_RECENT = 50  # lines by which the speed is measured


class MetricsTail:
    """metrics.jsonl, read incrementally. A long training is thinned: every second line is dropped, repeatedly."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._kept: dict[Split, dict[int, MetricsLine]] = {"train": {}, "val": {}}  # by step
        self._every: dict[Split, int] = {"train": 1, "val": 1}
        self._count: dict[Split, int] = {"train": 0, "val": 0}
        self.recent: list[MetricsLine] = []  # the last of all, none left out

    def read(self) -> bool:
        """Read new lines; return whether there were any. A missing file has none."""
        found = False
        try:
            with open(self.path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:  # another file by now
                    self.__init__(self.path)  # type: ignore[misc]
                file.seek(self._offset)
                while data := file.read(_CHUNK):
                    whole = data.rfind(b"\n") + 1
                    if not whole:
                        break
                    self._offset += whole
                    file.seek(self._offset)
                    for text in data[:whole].splitlines():
                        with contextlib.suppress(ValueError, KeyError, TypeError):
                            self._add(MetricsLine.from_dict(from_json(parse_json(text))))
                            found = True
        except OSError:
            pass
        return found

    def lines(self, split: Split) -> list[MetricsLine]:
        """Lines in order of steps, always with the newest."""
        kept = dict(self._kept[split])
        for line in self.recent:
            if line.split == split:
                kept[line.step] = line
        return [kept[step] for step in sorted(kept)]

    def _add(self, line: MetricsLine) -> None:
        if self.recent and line.step < self.recent[-1].step:  # resumed further back: the later line stands
            self.recent = [each for each in self.recent if each.step < line.step]
        self.recent = [*self.recent[1 - _RECENT :], line]
        kept = self._kept[line.split]
        self._count[line.split] += 1
        if line.step in kept or self._count[line.split] % self._every[line.split] == 0:
            kept[line.step] = line
        if len(kept) > MOST_LINES:
            self._every[line.split] *= 2
            self._kept[line.split] = {step: kept[step] for step in sorted(kept)[1::2]}


@dataclass(frozen=True)
class Pace:
    """Progress and speed of a training; None if not known yet."""

    step: int
    share: float | None  # of all steps
    steps_per_second: float | None
    seconds_left: float | None


def pace(tail: MetricsTail, record: RunRecord) -> Pace:
    """Estimated from the last lines; the total number of steps is known once an epoch has been validated."""
    val = tail.lines("val")[-1:]
    steps = record.epochs * val[0].step / val[0].epoch if val and val[0].epoch and record.epochs else None
    speed = _speed(tail.recent)
    done = max(record.step, tail.recent[-1].step if tail.recent else 0)
    if steps is None:
        return Pace(done, None, speed, None)
    return Pace(done, min(done / steps, 1.0), speed, max(steps - done, 0) / speed if speed else None)


def _speed(recent: list[MetricsLine]) -> float | None:
    """Steps per second, validation included."""
    timed = [(line.step, line.seconds) for line in recent if line.seconds is not None]
    if len(timed) < 2 or timed[-1][1] <= timed[0][1]:
        return None
    return (timed[-1][0] - timed[0][0]) / (timed[-1][1] - timed[0][1]) or None
