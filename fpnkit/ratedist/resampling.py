"""Points on resampled images; all points use the same draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fpnkit.errors import DataError
from fpnkit.metrics.bootstrap import resamples
from fpnkit.metrics.matches import Matches, average_precisions
from fpnkit.ratedist.points import Curve, Point, RdPoints
from fpnkit.runs.results import MATCHES, PARTS, SELF_MATCHES, part_matches, read_images

COUNT = 500
_FILES = {
    **{"map": MATCHES, "map50": MATCHES, "self_map": SELF_MATCHES},
    **{f"{part}_map": part_matches(part) for part in PARTS},
}

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ResampledCurve:
    """The steps of a curve over resamples, seeds averaged."""

    rates: Numbers  # (resamples, steps)
    values: Numbers  # (resamples, steps)


class Resampler:
    """Reads the per-image results of an evaluation on demand, once."""

    def __init__(self, x: str, y: str, count: int = COUNT) -> None:
        self.x, self.y, self.count = x, y, count
        self._points: dict[Path, tuple[Numbers, Numbers] | None] = {}
        self._ceilings: dict[Path, Numbers | None] = {}
        self._weights: dict[int, NDArray[np.int64]] = {}

    @property
    def can_draw(self) -> bool:
        """Whether the metric is one of detections."""
        return self.y in _FILES

    def draw(self, curve: Curve) -> ResampledCurve | None:
        """None if the metric cannot be resampled or files of a point are missing."""
        steps = [[self.take(point) for point in step] for step in curve.steps(self.x, self.y)]
        known = [[pair for pair in step if pair is not None] for step in steps]
        if not steps or any(len(some) < len(step) for some, step in zip(known, steps, strict=True)):
            return None
        return ResampledCurve(
            *(np.stack([_mean([pair[k] for pair in step]) for step in known], axis=1) for k in (0, 1))
        )

    def ceiling(self, points: RdPoints) -> Numbers | None:
        """The metric on uncompressed features (resamples,); None if the matches on them were not saved."""
        if self.y == "self_map":
            return np.ones(self.count)
        directory = points.ceiling_directory
        if directory is None:
            return None
        if directory not in self._ceilings:
            self._ceilings[directory] = self._accuracy(directory)
        return self._ceilings[directory]

    def _accuracy(self, directory: Path) -> Numbers | None:
        """The metric alone (resamples,), from the matches in a directory."""
        if not self.can_draw:
            return None
        try:
            matches = Matches.load(directory / _FILES[self.y])
        except DataError:
            return None
        averages = average_precisions(matches, self._draws(len(matches.objects)))
        return averages[self.y == "map50"]

    def take(self, point: Point) -> tuple[Numbers, Numbers] | None:
        """Rates and values of a measured point (resamples,); None if files of it are missing."""
        assert point.directory is not None
        if point.directory not in self._points:
            values = self._accuracy(point.directory)
            rates = None if values is None else self._rates(point.directory)
            self._points[point.directory] = None if values is None or rates is None else (rates, values)
        return self._points[point.directory]

    def _rates(self, directory: Path) -> Numbers | None:
        """Bits and pixels of the drawn images; (resamples,)."""
        rows = read_images(directory)
        if not rows or (self.x == "bpp_estimated" and not rows[0].bits_estimated):
            return None
        pixels = np.array([row.pixels for row in rows])
        bits = np.array([8.0 * row.bytes for row in rows])
        if self.x == "bpp_estimated":
            bits = np.array([sum(row.bits_estimated.values()) for row in rows])
        weights = self._draws(len(rows))
        below = np.full(self.count, 8000 * len(rows)) if self.x == "kb_per_image" else weights @ pixels
        rates: Numbers = weights @ bits / below
        return rates

    def _draws(self, images: int) -> NDArray[np.int64]:
        if images not in self._weights:
            self._weights[images] = resamples(images, self.count)
        return self._weights[images]


def _mean(rows: Sequence[Numbers]) -> Numbers:
    average: Numbers = np.mean(rows, axis=0)
    return average
