"""Calibration: the statistics of a detector's pyramids, and levels scaled to mean 0 and deviation 1 by them.

Without it, lambda would mean something different for every detector and level, and on features with small variance
every lambda would collapse to "send nothing".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fpnkit.errors import DataError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class LevelStatistics:
    """One level over the calibration images."""

    mean: float
    deviation: float
    spectrum: Tensor  # (channels,) eigenvalues of the channels' second moments about `mean`, in units of deviation²
    cells_per_pixel: float  # spatial positions over pixels of the original images


@dataclass(frozen=True)
class Calibration:
    """Statistics of every level, and the number of images."""

    levels: Mapping[str, LevelStatistics]
    images: int


def calibrate(features: Iterable[tuple[Pyramid, ImageGeometry]]) -> Calibration:
    """One pass over pyramids (1, channel, height, width); memory does not grow with their number."""
    sums: dict[str, Tensor] = {}
    products: dict[str, Tensor] = {}
    cells: dict[str, int] = {}
    images, pixels = 0, 0.0
    for pyramid, geometry in features:
        images, pixels = images + 1, pixels + geometry.original_pixels()
        for name, level in pyramid.items():
            values = level[0].flatten(1).double()  # (channel, cell)
            sums[name] = sums.get(name, 0) + values.sum(1)
            products[name] = products.get(name, 0) + values @ values.T
            cells[name] = cells.get(name, 0) + values.shape[1]
    levels = {name: _statistics(name, sums[name], products[name], cells[name], pixels) for name in sums}
    return Calibration(levels, images)


def _statistics(name: str, total: Tensor, product: Tensor, cells: int, pixels: float) -> LevelStatistics:
    channels = len(total)
    mean = total.sum() / (cells * channels)
    outer = torch.outer(total, torch.ones_like(total)) * mean
    moments = (product - outer - outer.T) / cells + mean**2  # about the level's mean, (channel, channel)
    variance = moments.diagonal().mean().item()
    if not math.isfinite(variance) or variance <= 0:
        found = "only one value" if variance == 0 else f"variance {variance}"
        raise DataError(f"level {name}: required features that vary and are finite, found {found}")
    spectrum = torch.linalg.eigvalsh(moments / variance).clamp(min=0).flip(0)
    return LevelStatistics(mean.item(), math.sqrt(variance), spectrum, cells / pixels)


class Standardizer(nn.Module):
    """Scales levels by their calibration; the numbers are part of the codec's weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, spec: PyramidSpec) -> None:
        super().__init__()
        self.names = spec.names
        self.register_buffer("mean", torch.zeros(len(spec.levels)))
        self.register_buffer("deviation", torch.ones(len(spec.levels)))

    def set(self, calibration: Calibration) -> None:
        """Take over means and deviations."""
        levels = [calibration.levels[name] for name in self.names]
        self.mean.copy_(torch.tensor([level.mean for level in levels]))
        self.deviation.copy_(torch.tensor([level.deviation for level in levels]))

    def variance(self) -> dict[str, float]:
        """Level → the reference variance of SNR."""
        return {name: deviation**2 for name, deviation in zip(self.names, self.deviation.tolist(), strict=True)}

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """Level → (level − mean) / deviation."""
        return Pyramid({name: (pyramid[name] - self.mean[i]) / self.deviation[i] for i, name in enumerate(self.names)})

    def inverse(self, pyramid: Pyramid) -> Pyramid:
        """Back to the detector's units."""
        return Pyramid({name: pyramid[name] * self.deviation[i] + self.mean[i] for i, name in enumerate(self.names)})
