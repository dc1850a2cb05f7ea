"""The text that goes with an R-D figure, for the command and the panel. Reads files only, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fpnkit.errors import UserError
from fpnkit.foundation.steps import Step, Tell, nobody
from fpnkit.metrics.bd import BdResult
from fpnkit.ratedist.compare import RateAtShare, compare, rates_at_shares
from fpnkit.ratedist.judge import Next, doubts, following, saturated
from fpnkit.ratedist.points import RATES, SECONDS, Curve, RdPoints
from fpnkit.ratedist.resampling import Resampler
from fpnkit.runs.store import NONE_YET


@dataclass(frozen=True)
class Remarks:
    """Remarks that need no resampling."""

    warnings: tuple[str, ...]
    following: tuple[Next, ...]


@dataclass(frozen=True)
class CurveComparison:
    """Results with intervals, which take seconds."""

    shares: tuple[RateAtShare, ...]
    savings: tuple[BdResult, ...]  # of every other measured curve against one


def metrics(points: RdPoints, missing: Sequence[str] = ()) -> list[str]:
    """Metrics available for the y axis. Raises `UserError` with all warnings if there is nothing to show."""
    if not points.curves:
        said = [*missing, *points.warnings]
        why = "no run has an evaluation or a validation; one is drawn from its first epoch on" if said else NONE_YET
        raise UserError("\n".join([f"nothing to show: {why}", *said]))
    known = sorted({key for curve in points.curves for point in curve.points for key in point.values})
    return [key for key in known if key not in (*RATES, *SECONDS, "bpp_gap")]


def judge(points: RdPoints, x: str, y: str, missing: Sequence[str] = ()) -> Remarks:
    """Doubts, `missing` first, and what to train or measure next for each curve."""
    warnings = [*missing, *points.warnings]
    for curve in points.curves:
        warnings += doubts(curve, x, y)
        warnings += [said for said in [saturated(points, curve, x, y)] if said]
    coming = [found for curve in points.curves if (found := following(points, curve, x, y))]
    return Remarks(tuple(warnings), tuple(coming))


def compare_all(
    points: RdPoints, sampler: Resampler, against: str | None = None, tell: Tell = nobody
) -> CurveComparison:
    """Rates at shares of the ceiling, and savings `against` a curve. Raises `UserError` if there is no such curve."""
    anchor = None if against is None else points.curve(against)
    measured = [curve for curve in points.curves if curve.steps(sampler.x, sampler.y)]
    if sampler.can_draw and (anchor is not None or points.ceiling_of(sampler.y) is not None):
        _resample([curve for curve in measured if not curve.too_few_images], sampler, tell)
    shares, savings = list[RateAtShare](), list[BdResult]()
    for number, curve in enumerate(measured):
        tell(Step("comparing curve", number, len(measured)))
        shares += rates_at_shares(points, curve, sampler)
        if anchor is not None and curve is not anchor:
            savings.append(compare(anchor, curve, sampler))
    return CurveComparison(tuple(shares), tuple(savings))


def _resample(curves: Sequence[Curve], sampler: Resampler, tell: Tell) -> None:
    steps = [step for curve in curves for step in curve.steps(sampler.x, sampler.y)]
    found = [point for step in steps for point in step]
    for number, point in enumerate(found):
        tell(Step("resampling point", number, len(found)))
        sampler.take(point)
