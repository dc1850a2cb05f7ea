"""One reference variance for the SNR of all points in a figure.

A model keeps the variance of its calibration features; its training, evaluation and analysis all use it. An anchor has
no model: its SNR uses the variance over the evaluated images. So do evaluations from before summaries recorded their
variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fpnkit.ratedist.points import Point, snr_values
from fpnkit.runs.results import Summary

Variance = Mapping[str, float]  # by level, in the detector's units squared
Measured = tuple[Point, Summary]


@dataclass(frozen=True)
class OneReference:
    """Converts SNR to one reference, or drops it if that is impossible."""

    model: Variance | None  # of the first model whose evaluation says it
    images: Variance | None  # over the evaluated images, where it is known

    @classmethod
    def of(cls, measured: Sequence[Measured], images: Variance | None) -> OneReference:
        """The reference for these points."""
        models = (summary.snr_variance for point, summary in measured if point.run is not None)
        return cls(next((variance for variance in models if variance), None), images)

    def measured(self, pairs: Sequence[Measured]) -> list[Measured]:
        """Evaluations converted to the model's variance; unchanged if no model's is known."""
        return [(self._converted(point, summary), summary) for point, summary in pairs]

    def _converted(self, point: Point, summary: Summary) -> Point:
        own = summary.snr_variance or self.images
        if self.model is None or own == self.model:
            return point
        shifts = {} if own is None else {level: _decibels(self.model, own, level) for level in own}
        snr_db = {level: value + shifts[level] for level, value in summary.snr_db.items() if level in shifts}
        return replace(point, values=_without_snr(point.values) | snr_values(snr_db))

    def waiting(self, points: Sequence[Point], beside: Sequence[Measured]) -> list[Point]:
        """Validations, which use their model's variance; without SNR next to evaluations that do not."""
        if self.model is not None or not beside:
            return list(points)
        trails = [tuple(_without_snr(values) for values in point.trail) for point in points]
        return [
            replace(point, values=_without_snr(point.values), trail=trail)
            for point, trail in zip(points, trails, strict=True)
        ]

    def warnings(self, measured: Sequence[Measured], waiting: Sequence[Point]) -> list[str]:
        """Warnings about dropped SNR."""
        if self.model is None:
            count = len(waiting) if measured else 0
            what = "without evaluation: it is by the model's variance, that of the evaluations by the images'"
        else:
            count = sum(self.images is None and not summary.snr_variance for _, summary in measured)
            what = "evaluated by an older fpnkit: the variance it is by is not known"
        return [f"SNR of {count} point{'' if count == 1 else 's'} left out, {what}"] if count else []


def _decibels(reference: Variance, own: Variance, level: str) -> float:
    return 10 * math.log10(reference[level] / own[level])


def _without_snr(values: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if not key.startswith("snr_db.")}
