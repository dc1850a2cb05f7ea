"""Which qualities of an anchor are worth measuring, by what is measured. Needs no torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from fpnkit.anchors.catalogue import Anchor
from fpnkit.runs.results import Summary

LOWEST, HIGHEST = 0.50, 0.99  # share of the ceiling that a curve should span
WIDEST = 0.10  # from a point to the next
MOST_ROUNDS = 4  # a curve may never come to an end


@dataclass(frozen=True)
class Missing:
    """A quality to measure, and why."""

    quality: int
    reason: str


def share_of(summary: Summary) -> float:
    """Of the ceiling; without labels, by the detector's own detections; without either NaN: nothing is missing."""
    share = summary.self_map if summary.share_of_ceiling is None else summary.share_of_ceiling
    return math.nan if share is None else share


def direction(anchor: Anchor) -> int:
    """1 if a larger quality has a higher rate, else -1."""
    return 1 if anchor.qualities[-1] > anchor.qualities[0] else -1


def missing(anchor: Anchor, shares: Mapping[int, float]) -> list[Missing]:
    """Quality → share of the ceiling, at least one → further ones, lowest rate first.

    One in the middle of each gap, and one beyond either end that does not reach far enough, as far from it as the next
    one inside.
    """
    qualities = sorted(shares, key=lambda quality: direction(anchor) * quality)
    inside = qualities if len(qualities) > 1 else anchor.qualities
    found = []
    if min(shares.values()) > LOWEST:
        found += _beyond(anchor, qualities[0], inside[0] - inside[1], f"starts at {_at(qualities[0], shares)}")
    for low, high in itertools.pairwise(qualities):
        ends = sorted((shares[low], shares[high]))
        if ends[1] - ends[0] > WIDEST and ends[0] < HIGHEST and ends[1] > LOWEST and abs(high - low) > 1:
            found.append(Missing((low + high) // 2, f"between {_at(low, shares)} and {_at(high, shares)}"))
    if max(shares.values()) < HIGHEST:
        found += _beyond(anchor, qualities[-1], inside[-1] - inside[-2], f"ends at {_at(qualities[-1], shares)}")
    return found


def _beyond(anchor: Anchor, end: int, step: int, reason: str) -> list[Missing]:
    """None where the scale ends."""
    low, high = anchor.allowed
    further = min(max(end + step, low), high)
    return [] if further == end else [Missing(further, reason)]


def _at(quality: int, shares: Mapping[int, float]) -> str:
    return f"{quality} ({100 * shares[quality]:.0f} %)"
