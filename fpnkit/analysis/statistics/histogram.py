"""Histograms of standardized levels, and the densities that fit them best."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fpnkit.analysis.statistics.moments import finite
from fpnkit.pyramid import Pyramid, PyramidSpec

_WIDTH = 0.1  # of a bin, in deviations
_HALF = 120  # bins on each side of the one about 0
_BINS = 2 * _HALF + 1


class LevelHistograms:
    """Counts of (value − mean) / deviation; `mean` and `deviation` (level,) are those the codec uses."""

    def __init__(self, spec: PyramidSpec, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        self._scale = {
            name: (m, d or 1.0) for name, m, d in zip(spec.names, mean.tolist(), deviation.tolist(), strict=True)
        }
        self._counts = {name: np.zeros(_BINS + 2) for name in spec.names}  # first and last: what lies outside

    def update(self, pyramid: Pyramid) -> None:
        """Levels (1, channel, height, width)."""
        for name, level in pyramid.items():
            mean, deviation = self._scale[name]
            bins = ((finite(level, name) - mean) / (deviation * _WIDTH)).round() + _HALF + 1
            counts = torch.bincount(bins.clamp(0, _BINS + 1).long().flatten(), minlength=_BINS + 2)
            self._counts[name] += counts.numpy()

    def table(self) -> pd.DataFrame:
        """A row per bin, up to the outermost non-empty one: its center in deviations and the densities there."""
        return pd.concat([_densities(name, counts) for name, counts in self._counts.items()], ignore_index=True)

    def fits(self) -> pd.DataFrame:
        """The best Gaussian and Laplacian of each level, and how many bits per value each is off the histogram."""
        return pd.DataFrame([_fit(name, counts) for name, counts in self._counts.items()])


def _densities(name: str, counts: NDArray[np.float64]) -> pd.DataFrame:
    centers, share = _shares(counts)
    fit = _fit(name, counts)
    used = np.flatnonzero(share)
    shown = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)
    columns = {
        "value": centers,
        "density": share / _WIDTH,
        "gaussian": _gaussian(centers, fit) / _WIDTH,
        "laplacian": _laplacian(centers, fit) / _WIDTH,
    }
    return pd.DataFrame({"level": name, **{key: column[shown] for key, column in columns.items()}})


def _fit(name: str, counts: NDArray[np.float64]) -> dict[str, float | str]:
    """Fitted by maximum likelihood to the values inside the range."""
    centers, share = _shares(counts)
    inside = share / (share.sum() or 1.0)
    mean = float((inside * centers).sum())
    median = float(centers[np.searchsorted(np.cumsum(inside), 0.5).clip(max=_BINS - 1)])
    fit: dict[str, float | str] = {
        "level": name,
        "mean": mean,
        "deviation": max(math.sqrt(float((inside * (centers - mean) ** 2).sum())), _WIDTH / 10),
        "median": median,
        "scale": max(float((inside * abs(centers - median)).sum()), _WIDTH / 10),
        "outside_share": float((counts[0] + counts[-1]) / (counts.sum() or 1.0)),
    }
    fit["bits_from_gaussian"] = _divergence(inside, _gaussian(centers, fit))
    fit["bits_from_laplacian"] = _divergence(inside, _laplacian(centers, fit))
    return fit


def _shares(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (np.arange(_BINS) - _HALF) * _WIDTH, counts[1:-1] / (counts.sum() or 1.0)


def _gaussian(centers: NDArray[np.float64], fit: dict[str, float | str]) -> NDArray[np.float64]:
    """Mass of each bin, from the density at its center."""
    deviation = float(fit["deviation"])
    distance = (centers - float(fit["mean"])) / deviation
    return np.asarray(np.exp(-(distance**2) / 2) / (deviation * math.sqrt(2 * math.pi)) * _WIDTH)


def _laplacian(centers: NDArray[np.float64], fit: dict[str, float | str]) -> NDArray[np.float64]:
    scale = float(fit["scale"])
    return np.asarray(np.exp(-abs(centers - float(fit["median"])) / scale) / (2 * scale) * _WIDTH)


def _divergence(share: NDArray[np.float64], model: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence in bits per value: the extra cost of coding with the model."""
    used = share > 0
    return float((share[used] * np.log2(share[used] / np.maximum(model[used], 1e-300))).sum())
