"""The curve of a codec of several rates: its qualities, and the lambda at each."""

from __future__ import annotations

import math

from fpnkit.errors import UserError

Qualities = tuple[float, float]  # lowest and highest


def lmbda_at(low: float, high: float, share: float) -> float:
    """Lambda at a share of the way from the lowest quality to the highest, by equal factors."""
    return low * math.pow(high / low, share)


def require_quality(qualities: Qualities | None, quality: float | None) -> None:
    """Raise `UserError` unless the quality lies on the curve; where there is none, it has to be None."""
    if qualities is None:
        if quality is not None:
            raise UserError(f"quality: required none, the codec has one rate; found {quality:g}")
        return
    low, high = qualities
    if quality is None or not low <= quality <= high:
        found = "none" if quality is None else f"{quality:g}"
        raise UserError(f"quality: required a number from {low:g} to {high:g}, found {found}")
