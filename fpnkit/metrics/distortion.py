"""The error of a decoded pyramid, per level."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.errors import PyramidError
from fpnkit.pyramid import Pyramid, PyramidSpec


def standardized_mse(
    original: Pyramid, decoded: Pyramid, deviation: Tensor, *, per_image: bool = False
) -> dict[str, Tensor]:
    """Level → mean squared error in units of the level's calibration variance; `deviation` (levels,).

    A scalar over the batch; `per_image`: (batch,).
    """
    return {
        name: _mse(decoded[name].float(), level, per_image) / deviation[index] ** 2
        for index, (name, level) in enumerate(original.items())
    }


def _mse(decoded: Tensor, original: Tensor, per_image: bool) -> Tensor:
    if per_image:
        return F.mse_loss(decoded, original, reduction="none").flatten(1).mean(1)
    return F.mse_loss(decoded, original)


def level_weights(chosen: Mapping[str, float] | None, spec: PyramidSpec) -> dict[str, float]:
    """Weights of the levels in the distortion: `chosen`, or 1/L each."""
    if chosen is None:
        return {name: 1 / len(spec.names) for name in spec.names}
    if set(chosen) != set(spec.names):
        raise PyramidError(f"loss.weights: required the levels {', '.join(spec.names)}; found {', '.join(chosen)}")
    return {name: chosen[name] for name in spec.names}


def distortion(mse: Mapping[str, Tensor], weights: Mapping[str, float], scale: float) -> Tensor:
    """`scale * sum_l weight_l * MSE_l`, the term that lambda multiplies."""
    return scale * torch.stack([weights[name] * value for name, value in mse.items()]).sum(0)


def snr_db(mse: float) -> float:
    """10 log10(variance / MSE) from a standardized MSE: 0 dB is what decoding the mean gives."""
    return math.inf if mse == 0 else -10 * math.log10(mse)
