"""The highest quality of a codec of several rates whose rate is at most a target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fpnkit.container import QUALITY_STEPS
from fpnkit.errors import UserError


@dataclass(frozen=True)
class AtRate:
    """A quality, and the rate that was measured there."""

    step: int  # of quality, which a stream carries in thousandths
    rate: float

    @property
    def quality(self) -> float:
        """As `Codec.encode` takes it."""
        return self.step / QUALITY_STEPS


def highest_within(
    rates_at: Callable[[Sequence[float]], Sequence[float]], curve: tuple[float, float], target: float, unit: str
) -> AtRate:
    """`rates_at` measures several qualities at once; of the whole ones, then between two of them.

    Raises `UserError` if the lowest rate is more than the target.
    """
    whole = [float(quality) for quality in range(int(curve[0]), int(curve[1]) + 1)]
    coarse = [AtRate(_step(quality), rate) for quality, rate in zip(whole, rates_at(whole), strict=True)]
    if coarse[0].rate > target:
        raise UserError(
            f"required a target of at least {coarse[0].rate:.4g} {unit}, the lowest rate, found {target:g} {unit}"
        )
    last = max(index for index, each in enumerate(coarse) if each.rate <= target)
    if last + 1 == len(coarse):
        return coarse[last]
    return _between(lambda step: rates_at([step / QUALITY_STEPS])[0], target, coarse[last], coarse[last + 1])


def _between(rate_at: Callable[[int], float], target: float, below: AtRate, above: AtRate) -> AtRate:
    """The last step within the target, of rates that rise.

    Guesses along the line in log rate, which is nearly straight, and halves where that made too little headway.
    """
    halve = False
    while above.step - below.step > 1:
        before = above.step - below.step
        step = (below.step + above.step) // 2 if halve else _on_line(below, above, target)
        found = AtRate(step, rate_at(step))
        below, above = (found, above) if found.rate <= target else (below, found)
        halve = above.step - below.step > before / 2
    return below


def _on_line(below: AtRate, above: AtRate, target: float) -> int:
    """A step strictly between the two."""
    share = math.log(target / below.rate) / math.log(above.rate / below.rate)
    return min(max(round(below.step + share * (above.step - below.step)), below.step + 1), above.step - 1)


def _step(quality: float) -> int:
    return round(quality * QUALITY_STEPS)
