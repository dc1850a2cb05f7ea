"""The rate a lambda can buy, known before the first step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fpnkit.codecs.calibration import Calibration
from fpnkit.distortions import MseDistortion

COLLAPSE_BPP = 0.005  # 0.005 bpp are 41 bytes for an image of 256x256: less than the headers


@dataclass(frozen=True)
class RateForecast:
    """Bounds on the rate at which training with this objective can end."""

    ceiling_bpp: float  # lambda * D0: sending nothing costs this much, so no optimum spends more
    gaussian_bpp: float  # what independent Gaussian channels of the calibrated spectrum would be given

    @property
    def collapses(self) -> bool:
        """Whether sending nothing will be the codec's best solution."""
        return min(self.ceiling_bpp, self.gaussian_bpp) < COLLAPSE_BPP

    def describe(self, lmbda: float) -> str:
        """One line for the log."""
        return (
            f"lambda {lmbda:.2e} can buy at most {self.ceiling_bpp:.4g} bpp (lambda * D0); "
            f"reverse water-filling over the channels expects {self.gaussian_bpp:.4g} bpp"
        )

    def warning(self, lmbda: float) -> str:
        """What to do about a collapse."""
        return (
            f"lambda {lmbda:.2e} is too small: below {COLLAPSE_BPP} bpp the codec learns to send nothing (0 dB SNR on "
            "every level); use a larger loss.lambda or loss.distortion_scale"
        )


def forecast(lmbda: float, distortion: MseDistortion, calibration: Calibration) -> RateForecast:
    """Reverse water-filling (Cover and Thomas 2006, section 10.3.3) with one water level per pyramid level.

    A channel with variance v and n cells per pixel gets n/2 log2(v/d) bits per pixel, where d is the error at which
    another bit no longer pays off. Correlation between cells is ignored: a codec may need less.
    """
    bpp = 0.0
    for name, level in calibration.levels.items():
        price = lmbda * distortion.scale * distortion.weights[name] / len(level.spectrum)
        if price > 0:
            error = level.cells_per_pixel / (2 * math.log(2) * price)
            bits = torch.log2(level.spectrum / error).clamp(min=0).sum().item() / 2
            bpp += level.cells_per_pixel * bits
    return RateForecast(lmbda * distortion.of_mean, bpp)
