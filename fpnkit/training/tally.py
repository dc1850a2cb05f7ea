"""Sums over steps or images, the basis of a metrics line."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tally:
    """Additive; `count` is steps in training and images in validation."""

    count: int = 0
    loss: float = 0.0
    distortion: float = 0.0
    aux_loss: float = 0.0
    gradient_norm: float = 0.0
    pixels: float = 0.0  # of the original images
    bits: Mapping[str, float] = field(default_factory=dict)  # per level, or `shared`
    mse: Mapping[str, float] = field(default_factory=dict)  # per level, standardized
    terms: Mapping[str, float] = field(default_factory=dict)  # of a distortion that has several

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.count + other.count,
            self.loss + other.loss,
            self.distortion + other.distortion,
            self.aux_loss + other.aux_loss,
            self.gradient_norm + other.gradient_norm,
            self.pixels + other.pixels,
            _added(self.bits, other.bits),
            _added(self.mse, other.mse),
            _added(self.terms, other.terms),
        )

    def plain(self) -> dict[str, Any]:
        """For a checkpoint; `Tally(**plain)` is equal."""
        return asdict(self)


def of_batch(parts: Sequence[Tally]) -> Tally:
    """The tally of a step from those of the batch's equal parts."""
    total, count = functools.reduce(operator.add, parts), len(parts)
    return Tally(
        1,
        total.loss / count,
        total.distortion / count,
        total.aux_loss / count,
        total.gradient_norm / count,
        total.pixels,
        total.bits,
        {name: value / count for name, value in total.mse.items()},
        {name: value / count for name, value in total.terms.items()},
    )


def _added(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0.0) + b.get(name, 0.0) for name in dict.fromkeys([*a, *b])}


@dataclass(frozen=True)
class Values:
    """The values of a metrics.jsonl line; None if a task does not have them."""

    loss: float
    bpp_estimated: float | None = None
    distortion: float | None = None
    aux_loss: float | None = None
    snr_db: Mapping[str, float] | None = None
    bpp_level: Mapping[str, float] | None = None
    map: float | None = None
    map50: float | None = None
    terms: Mapping[str, float] | None = None  # of a distortion that has several


def describe(values: Values) -> str:
    """One line for people."""
    parts = [f"loss {values.loss:.4f}"]
    if values.bpp_estimated is not None and values.snr_db is not None:
        parts.append(f"{values.bpp_estimated:.4f} bpp estimated")
        parts.append("SNR " + ", ".join(f"{name} {snr:.1f} dB" for name, snr in values.snr_db.items()))
    if values.map is not None and values.map50 is not None:
        parts.append(f"mAP {values.map:.3f}, mAP50 {values.map50:.3f}")
    return " · ".join(parts)
