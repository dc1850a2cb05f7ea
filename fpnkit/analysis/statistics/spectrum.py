"""Spatial frequencies of features and of coding errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from fpnkit.analysis.statistics.moments import finite
from fpnkit.pyramid import Pyramid

_BINS = 16
_TOP = 0.5  # cycles per cell


class RadialSpectrum:
    """Mean power by distance from frequency 0, over channels and directions; white noise is flat at its variance."""

    def __init__(self) -> None:
        self._power: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        self._count: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}

    def update(self, pyramid: Pyramid) -> None:
        """Levels (1, channel, height, width); each channel's mean is removed and edges are faded with a Hann window."""
        for name, level in pyramid.items():
            values = finite(level[0], name).float()
            height, width = values.shape[-2:]
            window = torch.outer(_hann(height), _hann(width))
            faded = (values - values.mean((1, 2), keepdim=True)) * window
            power = torch.fft.fft2(faded).abs().square().mean(0) / window.square().sum()
            down, right = torch.fft.fftfreq(height), torch.fft.fftfreq(width)
            distance = torch.hypot(down[:, None], right[None, :])
            bins = (distance / _TOP * _BINS).floor().long()
            kept = (bins < _BINS) & (distance > 0)
            total = torch.bincount(bins[kept], power[kept].double(), _BINS)
            self._power[name] = self._power.get(name, np.zeros(_BINS)) + total.numpy()
            self._count[name] = self._count.get(name, np.zeros(_BINS)) + bins[kept].bincount(minlength=_BINS).numpy()

    def table(self) -> pd.DataFrame:
        """Level, frequency in cycles per cell (middle of the bin), power; without empty bins."""
        centers = (np.arange(_BINS) + 0.5) * _TOP / _BINS
        parts = []
        for name, power in self._power.items():
            used = self._count[name] > 0
            columns = {"frequency": centers[used], "power": power[used] / self._count[name][used]}
            parts.append(pd.DataFrame({"level": name, **columns}))
        return pd.concat(parts, ignore_index=True)


def _hann(length: int) -> torch.Tensor:
    return torch.hann_window(length + 2, periodic=False)[1:-1]
