"""Distortions: how much is lost in coding, as training weighs it and a search in the encoder lowers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fpnkit.config.schema import Loss
from fpnkit.detectors.base import Detector, DetectorWithHeads
from fpnkit.errors import UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import distortion, level_weights
from fpnkit.metrics.heads import head_distance
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class DistortionInputs:
    """The inputs of a distortion."""

    original: Pyramid
    decoded: Pyramid
    mse: Mapping[str, Tensor]  # level → standardized MSE, a scalar; (batch,) if `per_image`
    per_image: bool = False
    geometry: Sequence[ImageGeometry] | None = None
    pixels: float = 1.0  # of the original, a mean image


class Distortion(Protocol):
    """A distortion: how much is lost in coding."""

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        """Named terms whose sum is the distortion: scalars, or (batch,) if `pair.per_image`."""
        ...


@dataclass(frozen=True)
class MseDistortion:
    """`scale * sum_l weight_l * MSE_l` over standardized levels."""

    scale: float
    weights: Mapping[str, float]  # per level

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        return {"mse": distortion(pair.mse, self.weights, self.scale)}

    @property
    def of_mean(self) -> float:
        """D0: the distortion of decoding the mean, every standardized MSE being 1."""
        return self.scale * sum(self.weights.values())


@dataclass(frozen=True)
class HeadDistortion:
    """What the detector's heads notice, in nats a pixel of the original: lambda is then in bits a nat."""

    detector: DetectorWithHeads

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        assert pair.geometry is not None
        with torch.no_grad():
            original = self.detector.heads(pair.original, pair.geometry)
        decoded = self.detector.heads(pair.decoded, pair.geometry, original)
        parts = head_distance(original, decoded)
        return {name: (nats if pair.per_image else nats.mean()) / pair.pixels for name, nats in parts.items()}


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of distortions."""

    parts: Sequence[tuple[float, Distortion]]

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        return {name: weight * term for weight, part in self.parts for name, term in part(pair).items()}


def build_distortion(settings: Loss, spec: PyramidSpec, detector: Detector) -> Distortion:
    """Raises `PyramidError` if the weights name other levels, and `UserError` if the detector shows no heads."""
    parts: list[tuple[float, Distortion]] = []
    for name, weight in settings.distortion.items():
        if name == "mse":
            parts.append((weight, MseDistortion(settings.distortion_scale, level_weights(settings.weights, spec))))
        else:
            parts.append((weight, HeadDistortion(require_heads(detector))))
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else Mixture(parts)


def require_heads(detector: Detector) -> DetectorWithHeads:
    """The detector itself. Raises `UserError` unless its heads can be had."""
    if not isinstance(detector, DetectorWithHeads):
        raise UserError(f"detector {detector.name}: required the method `heads`, see DetectorWithHeads; found none")
    return detector
