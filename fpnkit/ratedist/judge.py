"""Doubts about a curve, and which lambda to train or which quality to measure next."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.foundation import text
from fpnkit.foundation.files import file_stamp
from fpnkit.metrics.bd import MIN_POINTS
from fpnkit.ratedist.points import MEAN_SNR, Curve, Point, RdPoints, mean_of, shown
from fpnkit.runs import layout
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from fpnkit.runs.settings import highest_quality

COLLAPSED_BPP, COLLAPSED_SNR_DB = 0.005, 0.5
STILL_FALLING = 0.005  # of the validation loss, an epoch
_EPOCHS = 3
_ENOUGH = 0.95  # of the ceiling, for the top of a curve
_GAIN = 0.01  # of the ceiling, from the last step: less is saturation
_WIDE = 2.0  # times the rate: a gap in a curve worth another evaluation
_SAME_RATE = 1.02  # times: lambdas so close in rate have not parted yet
_MORE_EPOCHS = 2  # times as many
_FACTOR = 4.0  # to the next lambda where there is only one


@dataclass(frozen=True)
class NextLambda:
    """The lambda that would tell most about a curve."""

    curve: str
    lmbda: float
    reason: str

    @property
    def what(self) -> str:
        """For messages."""
        return f"lambda {text.rate(self.lmbda)}"


@dataclass(frozen=True)
class NextQuality:
    """The quality that would tell most about the curve of a codec of several rates."""

    curve: str
    quality: float
    reason: str
    runs: tuple[str, ...]  # short names
    search_steps: int | None = None

    @property
    def what(self) -> str:
        """For messages."""
        return f"quality {self.quality:g}"

    @property
    def arguments(self) -> list[str]:
        """Of the command that measures it, after `python -m`."""
        search = [] if self.search_steps is None else ["--search", str(self.search_steps)]
        return ["fpnkit.evaluate", *self.runs, "--qualities", f"{self.quality:g}", *search]


@dataclass(frozen=True)
class NextEpochs:
    """Runs of a curve that should be trained longer before anything else is tried."""

    curve: str
    runs: tuple[str, ...]  # short names
    epochs: int  # in all
    reason: str

    @property
    def what(self) -> str:
        """For messages."""
        return f"train {'it' if len(self.runs) == 1 else 'them'} longer"

    @property
    def commands(self) -> list[list[str]]:
        """Those that do it, after `python -m`."""
        return [["fpnkit.train", "--resume", run, "--epochs", str(self.epochs)] for run in self.runs]


Next = NextLambda | NextQuality | NextEpochs


def doubts(curve: Curve, x: str, y: str) -> list[str]:
    """Points that are likely worse than the codec can do, each with the likely reason."""
    steps = curve.steps(x, y)
    beaten = curve.beaten(x, y)
    warnings = (
        [f"{curve.name}: has a single point: a line needs two, a BD-rate {MIN_POINTS}"] if len(steps) == 1 else []
    )
    said: set[str] = set()  # of runs that are whole curves, whose points share what is wrong with them
    for index, step in enumerate(steps):
        reasons = [f"{point.name} {why}" for point in step if (why := _weakness(point))]
        if index in beaten:
            better = steps[beaten[index]]
            reasons = [*_chance(step, better, y), *reasons] or ["no reason is known"]
            what = f"{step[0].label} is dominated by {better[0].label}"
            warnings.append(
                f"{curve.name}: {what} ({_at(step, x, y)} against {_at(better, x, y)}); {'; '.join(reasons)}"
            )
        elif step[0].quality is not None:
            warnings += [f"{curve.name}: {reason}" for reason in reasons if reason not in said]
            said.update(reasons)
        else:
            warnings += [f"{curve.name}: {step[0].label}: {reason}" for reason in reasons]
    return warnings


def _at(step: Sequence[Point], x: str, y: str) -> str:
    return f"{shown(y, mean_of(step, y))} at {mean_of(step, x):.4g} {x}"


def _weakness(point: Point) -> str | None:
    """Collapsed, or not converged."""
    rate, snr = point.values.get("bpp_estimated", math.inf), point.values.get(MEAN_SNR, math.inf)
    if point.path is None:
        return None
    if point.quality is None and (rate < COLLAPSED_BPP or snr < COLLAPSED_SNR_DB):
        return f"has collapsed ({rate:.2g} bpp, SNR {snr:.1f} dB): lambda is too small for its distortion"
    fall = falling(point)
    if fall is not None and fall > STILL_FALLING:
        return f"has not converged: the validation loss still fell by {100 * fall:.1f} % an epoch"
    return None


def _chance(step: Sequence[Point], better: Sequence[Point], y: str) -> list[str]:
    bounds = step[0].intervals.get(y)
    inside = bounds is not None and bounds[0] <= mean_of(better, y) <= bounds[1]
    return ["the difference is within its 95 % interval"] if inside else []


def falling(point: Point) -> float | None:
    """Share by which the validation loss fell per epoch over the last three; None if unknown."""
    if point.path is None:
        return None
    path = point.path / layout.METRICS
    return _falling(path, file_stamp(path))


@functools.lru_cache(maxsize=10_000)
def _falling(path: Path, stamp: tuple[int, int, int] | None) -> float | None:
    """Cached, because it is asked for twice, and by a panel for all runs whenever one changed."""
    by_epoch = {line.epoch: line.loss for line in read_metrics(path) if line.split == "val"}
    losses = [by_epoch[epoch] for epoch in sorted(by_epoch)][-_EPOCHS - 1 :]
    if len(losses) <= _EPOCHS or not all(math.isfinite(loss) and loss > 0 for loss in losses):
        return None
    return 1 - math.pow(losses[-1] / losses[0], 1 / _EPOCHS)


def saturated(points: RdPoints, curve: Curve, x: str, y: str) -> str | None:
    """A message if the curve stays below the ceiling however large lambda becomes."""
    steps, ceiling = _by_lambda(curve, x, y), points.ceiling_of(y)
    if len(steps) < 2 or not ceiling:
        return None
    (low, before), (high, top) = [(step[0].lmbda or 0.0, mean_of(step, y)) for step in steps[-2:]]
    if top >= _ENOUGH * ceiling or top - before > _GAIN * ceiling:
        return None
    change = f"{high / low:.3g} times the lambda made {shown(y, top)} of {shown(y, before)}"
    hint = "a larger codec or longer training, not a larger lambda"
    return f"{curve.name}: saturates at {100 * top / ceiling:.0f} % of the ceiling ({change}): {hint}"


def following(points: RdPoints, curve: Curve, x: str, y: str) -> Next | None:
    """More epochs for runs that have not converged; else a quality to measure where runs are whole curves; else, or
    where these end too low, a lambda to train.
    """
    if longer := next_epochs(curve, x, y):
        return longer
    first = next((point for point in curve.points if point.path is not None and point.quality is not None), None)
    if first is None:
        return next_lambda(points, curve, x, y)
    found = next_quality(points, curve, x, y)
    ends_low = found is None and not curve.searched and _share_of_ceiling(points, curve, x, y) < _ENOUGH
    return next_lambda(points, curve, x, y) if ends_low and not saturated(points, curve, x, y) else found


def next_epochs(curve: Curve, x: str, y: str) -> NextEpochs | None:
    """For runs whose loss still falls, or whose rate is that of a run with another lambda."""
    known = [(point, fall) for step in curve.steps(x, y) for point in step if (fall := falling(point)) is not None]
    unfinished = [(point, fall) for point, fall in known if fall > STILL_FALLING]
    if unfinished:
        most = max(fall for _, fall in unfinished)
        told = f"the validation loss still fell by up to {100 * most:.1f} % an epoch"
        return _longer(curve, [point for point, _ in unfinished], told)
    for low, high in itertools.pairwise(_by_lambda(curve, x, y)):
        rates, bounds = (mean_of(low, x), mean_of(high, x)), (low[0].lmbda, high[0].lmbda)
        whole = any(point.quality is not None for point in (*low, *high))
        if not whole and bounds[0] != bounds[1] and max(rates) <= _SAME_RATE * min(rates) and min(rates) > 0:
            told = f"lambda {text.rate(bounds[0])} and {text.rate(bounds[1])} have the same rate, {rates[0]:.4g} {x}"
            return _longer(curve, [*low, *high], told)
    return None


def _longer(curve: Curve, points: Sequence[Point], reason: str) -> NextEpochs | None:
    paths = list(dict.fromkeys(point.path for point in points if point.path is not None))
    trained = [read_record(path).epochs for path in paths]
    known = [epochs for epochs in trained if epochs is not None]
    if not known:
        return None
    names = tuple(layout.short_name(path.name) for path in paths)
    return NextEpochs(curve.name, names, _MORE_EPOCHS * max(known), f"{reason} in {', '.join(names)}")


def next_quality(points: RdPoints, curve: Curve, x: str, y: str) -> NextQuality | None:
    """The highest of the codec if the curve ends below it and far from the ceiling, else within a wide gap in rate."""
    steps = [step for step in curve.steps(x, y) if step[0].quality is not None and step[0].path is not None]
    if not steps:
        return None
    steps = sorted(steps, key=lambda step: step[0].quality or 0.0)
    runs = tuple(dict.fromkeys(layout.short_name(str(point.run)) for step in steps for point in step))
    first, last = steps[0][0], steps[-1][0]
    assert first.path is not None
    assert last.quality is not None
    highest, share = highest_quality(first.path), _share_of_ceiling(points, curve, x, y)
    if share < _ENOUGH and last.quality < highest:
        reason = f"the curve ends at {100 * share:.0f} % of the ceiling; the highest quality of the codec"
        return NextQuality(curve.name, highest, reason, runs, first.search_steps)
    pairs = [(mean_of(high, x) / mean_of(low, x), low[0], high[0]) for low, high in itertools.pairwise(steps)]
    if not pairs or max(pairs, key=lambda pair: pair[0])[0] < _WIDE:
        return None
    ratio, low, high = max(pairs, key=lambda pair: pair[0])
    assert low.quality is not None
    assert high.quality is not None
    reason = f"between quality {low.quality:g} and {high.quality:g} the rate grows {ratio:.1f} times, the largest gap"
    middle = round((low.quality + high.quality) / 2, 3)
    return NextQuality(curve.name, middle, reason, runs, first.search_steps)


def _share_of_ceiling(points: RdPoints, curve: Curve, x: str, y: str) -> float:
    """That the best step reaches; infinite where there is no ceiling."""
    ceiling, steps = points.ceiling_of(y), curve.steps(x, y)
    return max(mean_of(step, y) for step in steps) / ceiling if ceiling and steps else math.inf


def next_lambda(points: RdPoints, curve: Curve, x: str, y: str) -> NextLambda | None:
    """A lambda above the largest if the curve ends far from the ceiling, otherwise in the largest gap in log rate.

    None for an anchor.
    """
    steps, ceiling = _by_lambda(curve, x, y), points.ceiling_of(y)
    if not steps:
        return None
    best = max(mean_of(step, y) for step in steps)
    if not ceiling or best >= _ENOUGH * ceiling or saturated(points, curve, x, y):
        return _into_gap(curve, steps, x)
    lambdas = [step[0].lmbda or 0.0 for step in steps]
    factor = lambdas[-1] / lambdas[-2] if len(lambdas) > 1 else _FACTOR
    reason = f"the curve ends at {100 * best / ceiling:.0f} % of the ceiling; {factor:.3g} times the largest lambda"
    return NextLambda(curve.name, lambdas[-1] * factor, reason)


def _by_lambda(curve: Curve, x: str, y: str) -> list[tuple[Point, ...]]:
    return sorted((step for step in curve.steps(x, y) if step[0].lmbda), key=lambda step: step[0].lmbda or 0.0)


def _into_gap(curve: Curve, steps: Sequence[tuple[Point, ...]], x: str) -> NextLambda | None:
    pairs = [
        (mean_of(high, x) / mean_of(low, x), low[0].lmbda, high[0].lmbda) for low, high in itertools.pairwise(steps)
    ]
    if not pairs:
        return None
    ratio, low, high = max(pairs, key=lambda pair: pair[0])
    assert low is not None
    assert high is not None
    reason = f"between lambda {text.rate(low)} and {text.rate(high)} the rate grows {ratio:.1f} times, the largest gap"
    return NextLambda(curve.name, math.sqrt(low * high), reason)
