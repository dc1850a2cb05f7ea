"""What a codec loses: squared errors per level and channel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fpnkit.analysis.statistics.moments import finite
from fpnkit.pyramid import Pyramid


class ErrorStatistics:
    """Sums over pairs of an original and a decoded pyramid."""

    def __init__(self) -> None:
        self._levels: dict[str, _Errors] = {}

    def update(self, original: Pyramid, decoded: Pyramid) -> None:
        """Levels (1, channel, height, width)."""
        for name, level in original.items():
            values = finite(level[0], name).flatten(1)
            errors = (finite(decoded[name][0], f"{name}, decoded").flatten(1) - values).square().sum(1)
            if name not in self._levels:
                self._levels[name] = _Errors(len(values))
            self._levels[name].add(values.numpy(), errors.numpy())

    def channels(self) -> pd.DataFrame:
        """`snr_db` relative to the channel's own variance: decoding only its mean gives 0 dB.

        A constant channel has NaN.
        """
        return pd.concat([errors.channels(name) for name, errors in self._levels.items()], ignore_index=True)

    def levels(self, variance: Mapping[str, float]) -> pd.DataFrame:
        """`snr_db` against the model's reference variance of each level, as in training and evaluation."""
        table = pd.DataFrame({"level": list(self._levels), "variance": [variance[name] for name in self._levels]})
        table["mse"] = [errors.mse() for errors in self._levels.values()]
        return table.assign(snr_db=decibels(table["variance"].to_numpy(), table["mse"].to_numpy()))


class _Errors:
    def __init__(self, channels: int) -> None:
        self.count, self.origin = 0, np.zeros((channels, 1))
        self.sums: NDArray[np.float64] = np.zeros((3, channels))  # of distances from origin, their squares, errors

    def add(self, values: NDArray[np.float64], errors: NDArray[np.float64]) -> None:
        if self.count == 0:
            self.origin = values[:, :1].copy()
        self.count += values.shape[1]
        distance = values - self.origin
        self.sums += np.stack([distance.sum(1), (distance**2).sum(1), errors])

    def channels(self, name: str) -> pd.DataFrame:
        mean, square, mse = self.sums / self.count
        variance = np.where(square > 0, np.maximum(square - mean**2, 0), 0)
        numbers = np.arange(len(mse))
        columns = {"variance": variance, "mse": mse, "snr_db": decibels(variance, mse)}
        return pd.DataFrame({"level": name, "channel": numbers, **columns})

    def mse(self) -> float:
        """Loss of all channels together."""
        return float(self.sums[2].mean() / self.count)


def decibels(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """10 log10(signal / noise); infinite without noise, NaN without signal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(signal > 0, 10 * np.log10(signal / noise), np.nan)
