"""Bjontegaard deltas: how many bits a codec saves at equal accuracy (Bjontegaard 2001, VCEG-M33).

The library integrates whatever it is given: a curve that saturates at 0.366 and then 0.365 made its cubic method report
-99.999 %. Here both curves are first reduced to their increasing frontier, and curves that cannot be compared are
refused with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fpnkit.metrics.frontier import Frontier, Numbers, Row, frontier

MIN_POINTS = 4
MIN_OVERLAP = 0.1  # of the shorter curve's range; below that, a few points at one end decide

Method = Literal["pchip"]
METHOD: Method = "pchip"


@dataclass(frozen=True)
class Series:
    """One curve: rates, values and labels of its points."""

    name: str
    labels: Sequence[str]
    rates: Row  # (points,) above 0
    values: Row  # (points,) larger is better


@dataclass(frozen=True)
class BdResult:
    """`test` compared with `anchor`; a delta that cannot be computed is None, and `reason` says why."""

    anchor: str
    test: str
    bd_rate_percent: float | None  # mean difference of rate at equal value; negative: `test` needs fewer bits
    bd_metric: float | None  # mean difference of value at equal rate; None also where the rates do not overlap
    overlap: tuple[float, float] | None  # of the values, over which the rates are compared
    dropped: tuple[str, ...]  # points not on the increasing frontier, as `curve: point`
    reason: str | None
    method: Method = METHOD
    bd_rate_interval: tuple[float, float] | None = None  # 95 %, in percent
    bd_metric_interval: tuple[float, float] | None = None  # 95 %
    interval_reason: str | None = None  # why there is none


def bd(anchor: Series, test: Series, min_points: int = MIN_POINTS) -> BdResult:
    """Compare two curves over their common range, piecewise cubic and monotone in log rate."""
    fronts = [frontier(series.rates, series.values) for series in (anchor, test)]
    dropped = tuple(
        f"{series.name}: {series.labels[index]}"
        for series, front in zip((anchor, test), fronts, strict=True)
        for index in front.dropped
    )
    if reason := _too_few((anchor, test), fronts, min_points):
        return BdResult(anchor.name, test.name, None, None, None, dropped, reason)
    overlap = _overlap(fronts[0].values, fronts[1].values)
    if overlap is None:
        ranges = " and ".join(
            f"{each.name} {front.values[0]:.4g} to {front.values[-1]:.4g}"
            for each, front in zip((anchor, test), fronts, strict=True)
        )
        reason = f"required an overlap of {100 * MIN_OVERLAP:.0f} % of the shorter range, found {ranges}"
        return BdResult(anchor.name, test.name, None, None, None, dropped, reason)
    return BdResult(anchor.name, test.name, *_deltas(*fronts), overlap, dropped, None)


def refused(anchor: str, test: str, reason: str) -> BdResult:
    """Curves that must not be compared at all."""
    return BdResult(anchor, test, None, None, None, (), reason)


def _overlap(first: Numbers, second: Numbers) -> tuple[float, float] | None:
    """The common range of two increasing rows; None if it is too small."""
    low, high = max(first[0], second[0]), min(first[-1], second[-1])
    shorter = min(first[-1] - first[0], second[-1] - second[0])
    return (float(low), float(high)) if high > low and high - low >= MIN_OVERLAP * shorter else None


def _too_few(pair: Sequence[Series], fronts: Sequence[Frontier], min_points: int) -> str | None:
    for series, front in zip(pair, fronts, strict=True):
        if len(front.kept) < min_points:
            of = f" of {len(front.kept) + len(front.dropped)}" if front.dropped else ""
            return f"required {min_points} points on the increasing frontier, {series.name} has {len(front.kept)}{of}"
    return None


def _deltas(anchor: Frontier, test: Frontier) -> tuple[float, float | None]:
    """(percent of rate, metric) of two frontiers whose values overlap."""
    from bjontegaard import bd_psnr, bd_rate  # brings pyplot with it

    points = (anchor.rates, anchor.values, test.rates, test.values)
    rate = float(bd_rate(*points, METHOD, require_matching_points=False, min_overlap=0))
    if _overlap(np.log(anchor.rates), np.log(test.rates)) is None:
        return rate, None
    return rate, float(bd_psnr(*points, METHOD, require_matching_points=False, min_overlap=0))
