"""The increasing part of a rate-accuracy curve, which is the only part that can be inverted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Row = Sequence[float] | Numbers

_DIGITS = 9  # rates and values that differ by less are equal: nothing can be interpolated between them


@dataclass(frozen=True)
class Frontier:
    """Points that no other point beats at an equal or lower rate, in order of rate; both rows strictly increase."""

    rates: Numbers
    values: Numbers
    kept: tuple[int, ...]  # positions in what was given
    dropped: tuple[int, ...]

    def rate_at(self, value: float) -> float | None:
        """The rate at which the curve reaches a value, linear in log rate between points; None outside their range."""
        if not len(self.rates) or not self.values[0] <= value <= self.values[-1]:
            return None
        return float(np.exp(np.interp(value, self.values, np.log(self.rates))))


def frontier(rates: Row, values: Row) -> Frontier:
    """The frontier of points in any order; points without a finite positive rate and a finite value are dropped."""
    x, y = np.asarray(rates, np.float64), np.asarray(values, np.float64)
    usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & (x > 0))
    log_rate, value = np.round(np.log(x[usable]), _DIGITS), np.round(y[usable], _DIGITS)
    kept: list[int] = []
    best = -np.inf
    for place in np.lexsort((-value, log_rate)):  # by rate, of equal rates the best first
        if value[place] > best:
            best = value[place]
            kept.append(int(usable[place]))
    dropped = tuple(index for index in range(len(x)) if index not in kept)
    return Frontier(x[kept], y[kept], tuple(kept), dropped)


def dominated_by(index: int, rates: Row, values: Row) -> int | None:
    """The best point that dominates this one; None if it is on the frontier."""
    better = [
        other
        for other, (rate, value) in enumerate(zip(rates, values, strict=True))
        if rate <= rates[index] and value >= values[index] and (rate, value) != (rates[index], values[index])
    ]
    return max(better, key=lambda other: (values[other], -rates[other]), default=None)
