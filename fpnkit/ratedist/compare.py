"""Comparisons of curves: the rate at a share of the ceiling, and the rate saved relative to another codec, with
intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fpnkit.metrics.bd import BdResult, Series, bd, refused
from fpnkit.metrics.bootstrap import interval
from fpnkit.metrics.frontier import frontier
from fpnkit.ratedist.points import RATES, Curve, RdPoints, shown, shown_apart
from fpnkit.ratedist.resampling import Resampler
from fpnkit.runs.results import NO_INTERVAL

SHARES = (0.99, 0.95, 0.90)
MOST_MISSING = 0.05  # of the resamples, for an interval
_MIN_POINTS = 2  # of a resampled curve: where the set has enough, a resample may drop some


@dataclass(frozen=True)
class RateAtShare:
    """The rate at which a curve reaches a share of the ceiling, linear in log rate on the increasing frontier."""

    curve: str
    share: float
    target: float  # the metric there
    rate: float | None
    reason: str | None = None  # why there is no rate
    interval: tuple[float, float] | None = None  # 95 %
    reached: float | None = None  # share of the resamples in which the curve reaches it
    interval_reason: str | None = None


def rates_at_shares(
    points: RdPoints, curve: Curve, sampler: Resampler, shares: Sequence[float] = SHARES
) -> list[RateAtShare]:
    """One result per share; none if the metric has no ceiling."""
    ceiling = points.ceiling_of(sampler.y)
    if ceiling is None:
        return []
    series = curve.series(sampler.x, sampler.y)
    found = [_rate_at_share(series, share, share * ceiling, sampler.y) for share in shares]
    if curve.too_few_images:
        return [result if result.rate is None else replace(result, interval_reason=NO_INTERVAL) for result in found]
    drawn, ceilings = sampler.draw(curve), sampler.ceiling(points)
    results = []
    for share, result in zip(shares, found, strict=True):
        if result.rate is None:
            results.append(result)
        elif drawn is None or ceilings is None:
            of = "ceiling" if ceilings is None else "evaluation"
            results.append(replace(result, interval_reason=f"the {of} kept no matches to resample"))
        else:
            fronts = zip(drawn.rates, drawn.values, share * ceilings, strict=True)
            rates = [frontier(rates, values).rate_at(target) for rates, values, target in fronts]
            results.append(_with_interval(result, rates))
    return results


def _rate_at_share(series: Series, share: float, target: float, y: str) -> RateAtShare:
    front = frontier(series.rates, series.values)
    rate = front.rate_at(target)
    if rate is not None:
        return RateAtShare(series.name, share, target, rate)
    if not len(front.rates):
        reason = "no point is measured"
    elif front.values[-1] < target:
        most, required = shown_apart(y, float(front.values[-1]), target)
        reason = f"not reached: {most} at most, {required} required"
    else:
        reason = f"below the lowest point: {front.rates[0]:.4g} already gives {shown(y, front.values[0])}"
    return RateAtShare(series.name, share, target, None, reason)


def _with_interval(result: RateAtShare, rates: Sequence[float | None]) -> RateAtShare:
    reached = np.array([rate for rate in rates if rate is not None])
    share = len(reached) / len(rates)
    if share < 1 - MOST_MISSING or result.rate is None:
        return replace(result, reached=share, interval_reason=f"not reached in {100 * (1 - share):.0f} % of resamples")
    bounds = interval(np.log(reached), float(np.log(result.rate)))
    assert bounds is not None
    return replace(result, reached=share, interval=(float(np.exp(bounds[0])), float(np.exp(bounds[1]))))


def compare(anchor: Curve, test: Curve, sampler: Resampler) -> BdResult:
    """Compare `test` with `anchor`. Curves on other images or with another detector are refused with a reason."""
    if reason := _unlike(anchor, test, sampler):
        return refused(anchor.name, test.name, reason)
    pair = anchor.series(sampler.x, sampler.y), test.series(sampler.x, sampler.y)
    result = bd(*pair)
    if result.bd_rate_percent is None:
        return result
    if not sampler.can_draw:
        return replace(result, interval_reason=f"{sampler.y} is not resampled")
    if anchor.too_few_images:
        return replace(result, interval_reason=NO_INTERVAL)
    first, second = sampler.draw(anchor), sampler.draw(test)
    if first is None or second is None:
        return replace(result, interval_reason="the evaluations kept no matches to resample")
    drawn = [
        bd(replace(pair[0], rates=r0, values=v0), replace(pair[1], rates=r1, values=v1), _MIN_POINTS)
        for r0, v0, r1, v1 in zip(first.rates, first.values, second.rates, second.values, strict=True)
    ]
    return _with_intervals(result, drawn)


def _unlike(anchor: Curve, test: Curve, sampler: Resampler) -> str | None:
    if sampler.x not in RATES:
        return f"required a rate ({', '.join(RATES)}), found {sampler.x}"
    if sampler.y == "loss":
        return "required a metric that rises with the rate, found the loss"
    for kind, one, other in (
        ("images", anchor.data_id, test.data_id),
        ("detector", anchor.detector_id, test.detector_id),
    ):
        if one != other:
            names = (anchor.dataset, test.dataset) if kind == "images" else (anchor.detector, test.detector)
            return (
                f"required the same {kind}, found {names[0]} ({one}) under {anchor.name} "
                f"and {names[1]} ({other}) under {test.name}"
            )
    return None


def _with_intervals(result: BdResult, drawn: Sequence[BdResult]) -> BdResult:
    rates = [each.bd_rate_percent for each in drawn if each.bd_rate_percent is not None]
    missing = 1 - len(rates) / len(drawn)
    if missing > MOST_MISSING:
        return replace(result, interval_reason=f"no comparison in {100 * missing:.0f} % of resamples")
    assert result.bd_rate_percent is not None
    bounds = interval(np.log1p(np.array(rates) / 100), math.log1p(result.bd_rate_percent / 100))  # of ratios
    assert bounds is not None
    percent = 100 * math.expm1(bounds[0]), 100 * math.expm1(bounds[1])
    metrics = [each.bd_metric for each in drawn if each.bd_metric is not None]
    metric = None
    if result.bd_metric is not None and len(metrics) >= (1 - MOST_MISSING) * len(drawn):
        metric = interval(np.array(metrics), result.bd_metric)
    return replace(result, bd_rate_interval=percent, bd_metric_interval=metric)
