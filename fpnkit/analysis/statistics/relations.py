"""How levels relate: do they respond in the same places, and can one be predicted from another?"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fpnkit.analysis.statistics.moments import finite
from fpnkit.pyramid import Pyramid, PyramidSpec

_RIDGE = 1e-2  # of the mean variance of the predicting channels


class LevelRelations:
    """Sums over pairs of levels on the coarser level's grid; images alternate between two halves."""

    def __init__(self, spec: PyramidSpec) -> None:
        self._names = spec.names
        self._pairs = {pair: (_Pair(), _Pair()) for pair in combinations(spec.names, 2)}
        self._images = 0

    def update(self, pyramid: Pyramid) -> None:
        """Levels (1, channel, height, width)."""
        levels = {name: finite(level[0], name) for name, level in pyramid.items()}
        for (a, b), halves in self._pairs.items():
            size = min((levels[a].shape[-2:], levels[b].shape[-2:]), key=lambda shape: shape[0] * shape[1])
            halves[self._images % 2].add(levels[a], levels[b], (size[0], size[1]))
        self._images += 1

    def table(self) -> pd.DataFrame:
        """A row per ordered pair (`source`, `target`).

        `energy_correlation` correlates the mean squares over channels, cell by cell. `predictable_share` is the part of
        the target's variance that a linear function of the source's channels in the same cell explains, fitted on one
        half of the images and measured on the other, both ways; NaN for a single image, negative if the prediction is
        worse than the mean.
        """
        rows = []
        for (a, b), (even, odd) in self._pairs.items():
            energy = (even.energy + odd.energy).correlation()
            for source, target in ((a, b), (b, a)):
                swap = source != a
                shares = [fit.predicts(other, swap) for fit, other in ((even, odd), (odd, even))]
                rows.append((source, target, energy, float(np.mean(shares))))
        rows += [(name, name, 1.0, 1.0) for name in self._names]
        table = pd.DataFrame(rows, columns=["source", "target", "energy_correlation", "predictable_share"])
        order = {name: index for index, name in enumerate(self._names)}
        return table.sort_values(["source", "target"], key=lambda names: names.map(order), ignore_index=True)


class _Moments:
    """Sums and products of vectors, and from them the covariance."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: NDArray[np.float64] = np.zeros(0)
        self.products: NDArray[np.float64] = np.zeros((0, 0))

    def add(self, values: NDArray[np.float64]) -> None:
        """(component, cell)"""
        if self.count == 0:
            self.sums, self.products = np.zeros(len(values)), np.zeros((len(values), len(values)))
        self.count += values.shape[1]
        self.sums += values.sum(1)
        self.products += values @ values.T

    def __add__(self, other: _Moments) -> _Moments:
        both = _Moments()
        both.count = self.count + other.count
        parts = [part for part in (self, other) if part.count]
        both.sums = np.asarray(sum(part.sums for part in parts))
        both.products = np.asarray(sum(part.products for part in parts))
        return both

    def about(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean product of the distances from `mean`."""
        own = self.sums / self.count
        return np.asarray(self.products / self.count - np.outer(own, mean) - np.outer(mean, own) + np.outer(mean, mean))

    def correlation(self) -> float:
        """Of two components."""
        covariance = self.about(self.sums / self.count)
        scale = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
        return float(covariance[0, 1] / scale) if scale > 0 else float("nan")


class _Pair:
    """Two levels over one half of the images."""

    def __init__(self) -> None:
        self.joint, self.energy, self.first = _Moments(), _Moments(), 0

    def add(self, a: Tensor, b: Tensor, size: tuple[int, int]) -> None:
        pooled = [F.adaptive_avg_pool2d(level, size).flatten(1).numpy() for level in (a, b)]
        squares = [F.adaptive_avg_pool2d(level.square().mean(0)[None], size).flatten().numpy() for level in (a, b)]
        self.first = len(pooled[0])
        self.joint.add(np.concatenate(pooled))
        self.energy.add(np.stack(squares))

    def predicts(self, other: _Pair, swap: bool) -> float:
        """Share of the target's variance in `other` explained by the fit to this half."""
        if not self.joint.count or not other.joint.count:
            return float("nan")
        mean = self.joint.sums / self.joint.count
        first, second = slice(0, self.first), slice(self.first, None)
        x, y = (second, first) if swap else (first, second)
        here, there = self.joint.about(mean), other.joint.about(mean)
        inputs = here[x, x]
        ridge = _RIDGE * max(float(inputs.trace()) / len(inputs), 1e-30)
        weights = np.linalg.solve(inputs + ridge * np.eye(len(inputs)), here[x, y])
        total = float(there[y, y].trace())
        left = total - 2 * float((weights * there[x, y]).sum()) + float(((there[x, x] @ weights) * weights).sum())
        return 1 - left / total if total > 0 else float("nan")
