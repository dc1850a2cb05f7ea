"""Statistics of features by level and channel, from sums whose size does not depend on the number of images."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpnkit.errors import DataError, PyramidError
from fpnkit.pyramid import Pyramid, PyramidSpec


class FeatureStatistics:
    """Sums over the pyramids seen so far."""

    def __init__(self, spec: PyramidSpec) -> None:
        for level in spec.levels:
            if level.channels < 1:
                raise PyramidError(f"level {level.name}: required at least 1 channel, found none")
        self._spec = spec
        self._sums = {level.name: _Sums(level.channels) for level in spec.levels}

    def update(self, pyramid: Pyramid) -> None:
        """Levels (1, channel, height, width); raises `DataError` for values that are not finite."""
        self._spec.check(pyramid)
        for name, level in pyramid.items():
            self._sums[name].add(finite(level[0], name))

    def channels(self) -> pd.DataFrame:
        """One row per channel, in the detector's units.

        `excess_kurtosis` is 0 for a Gaussian and NaN for a constant channel. `sparsity` is Hoyer's (2004, JMLR 5): 0 if
        all values have the same magnitude, 1 if only one is not 0; a zero-mean Gaussian has 0.2. `energy_share` is the
        channel's share of the level's sum of squares.
        """
        return pd.concat([sums.channels(name) for name, sums in self._sums.items()], ignore_index=True)

    def levels(self) -> pd.DataFrame:
        """One row per level; `effective_components` is the exponential of the entropy of the eigenvalues' shares."""
        return pd.DataFrame([sums.level(name) for name, sums in self._sums.items()])

    def eigenvalues(self) -> pd.DataFrame:
        """Eigenvalues of the covariance of each level's channels, largest first, as shares of the level's variance."""
        parts = [_numbered(name, "component", share=sums.spectrum()) for name, sums in self._sums.items()]
        table = pd.concat(parts, ignore_index=True)
        table["cumulative"] = table.groupby("level", sort=False)["share"].cumsum()
        return table

    def correlations(self, most: int = 64) -> pd.DataFrame:
        """Pearson correlation of the `most` channels with the highest energy, in that order.

        A constant channel has NaN.
        """
        return pd.concat([sums.correlations(name, most) for name, sums in self._sums.items()], ignore_index=True)


def finite(level: Tensor, name: str) -> Tensor:
    """The level in float64; raises `DataError` for NaN and infinities."""
    values = level.detach().double()
    if not math.isfinite(values.sum().item()):
        bad = int((~values.isfinite()).sum())
        raise DataError(
            f"level {name}: required finite features, found {bad} of {values.numel()} values NaN or infinite"
        )
    return values


class _Sums:
    """Sums of one level: powers of the distance from `origin`, which keeps them small if a channel's mean is large."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.origin: NDArray[np.float64] = np.zeros(channels)  # of each channel, its first value
        self.powers = np.zeros((4, channels))
        self.absolute = np.zeros(channels)
        self.products = np.zeros((channels, channels))
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)

    def add(self, level: Tensor) -> None:
        values = level.flatten(1)  # (channel, cell)
        if self.count == 0:
            self.origin = values[:, 0].numpy().copy()
        self.count += values.shape[1]
        distance = values - torch.from_numpy(self.origin)[:, None]
        square = distance * distance
        sums = (distance.sum(1), square.sum(1), (square * distance).sum(1), (square * square).sum(1))
        self.powers += torch.stack(sums).numpy()
        self.absolute += values.abs().sum(1).numpy()
        self.products += (distance @ distance.T).numpy()
        self.low = np.minimum(self.low, values.amin(1).numpy())
        self.high = np.maximum(self.high, values.amax(1).numpy())

    @property
    def energy(self) -> NDArray[np.float64]:
        """Sum of squares of each channel."""
        return np.asarray(self.powers[1] + 2 * self.origin * self.powers[0] + self.count * self.origin**2)

    @property
    def covariance(self) -> NDArray[np.float64]:
        mean = self.powers[0] / self.count
        return np.asarray(self.products / self.count - np.outer(mean, mean))

    def channels(self, name: str) -> pd.DataFrame:
        mean, second, third, fourth = self.powers / self.count
        constant = self.low == self.high
        variance = np.where(constant, 0.0, np.maximum(second - mean**2, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
            kurtosis = np.where(variance > 0, central / variance**2 - 3, np.nan)
            root = math.sqrt(self.count)
            sparsity = (root - self.absolute / np.sqrt(self.energy)) / (root - 1)
            share = self.energy / self.energy.sum()
        columns = {
            "mean": self.origin + mean,
            "deviation": np.sqrt(variance),
            "minimum": self.low,
            "maximum": self.high,
            "excess_kurtosis": kurtosis,
            "sparsity": sparsity,
            "energy_share": share,
        }
        return _numbered(name, "channel", **columns)

    def spectrum(self) -> NDArray[np.float64]:
        values = np.linalg.eigvalsh(self.covariance).clip(min=0)[::-1]
        return np.asarray(values / (values.sum() or 1.0))

    def level(self, name: str) -> dict[str, object]:
        shares = self.spectrum()
        positive = shares[shares > 0]
        values = self.count * len(shares)
        mean = (self.origin + self.powers[0] / self.count).mean()
        return {
            "level": name,
            "channels": len(shares),
            "cells": self.count,
            "mean": mean,
            "deviation": math.sqrt(max(0.0, self.energy.sum() / values - mean**2)),
            "constant_channels": int((self.low == self.high).sum()),
            "effective_components": math.exp(-(positive * np.log(positive)).sum()),
            "components_of_95_percent": int((np.cumsum(shares) < 0.95).sum()) + 1,
        }

    def correlations(self, name: str, most: int) -> pd.DataFrame:
        order = np.argsort(-self.energy, kind="stable")[:most]
        covariance = self.covariance[np.ix_(order, order)]
        constant = (self.low == self.high)[order]
        deviation = np.where(constant, np.nan, np.sqrt(covariance.diagonal().clip(min=0)))
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = (covariance / np.outer(deviation, deviation)).clip(-1, 1)
        rows, columns = np.indices(matrix.shape)
        return pd.DataFrame(
            {
                "level": name,
                "channel": order[rows.ravel()],
                "other": order[columns.ravel()],
                "correlation": matrix.ravel(),
            }
        )


def _numbered(level: str, number: str, **columns: NDArray[np.float64]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"level": level, number: np.arange(count), **columns})
