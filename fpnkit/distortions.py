"""Distortions: how much is lost in coding, as training weighs it and a search in the encoder lowers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from fpnkit.config.schema import Loss
from fpnkit.detectors.base import Detector, DetectorWithHeads, HeadOutputs
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


class HeadDistortion:
    """What the detector's heads notice, in nats a pixel of the original: lambda is then in bits a nat."""

    def __init__(self, detector: DetectorWithHeads) -> None:
        self._detector = detector
        self._last: tuple[Pyramid, HeadOutputs] | None = None  # a search asks about one original many times

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        assert pair.geometry is not None
        with frozen(self._detector.trainable):
            original = self._of_original(pair.original, pair.geometry)
            decoded = self._detector.heads(pair.decoded, pair.geometry, original)
        parts = head_distance(original, decoded)
        return {name: (nats if pair.per_image else nats.mean()) / pair.pixels for name, nats in parts.items()}

    @torch.no_grad()
    def _of_original(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> HeadOutputs:
        if self._last is None or self._last[0] is not pyramid:
            self._last = pyramid, self._detector.heads(pyramid, geometry)
        return self._last[1]


@contextmanager
def frozen(module: nn.Module | None) -> Iterator[None]:
    """What is computed meanwhile gives the weights no gradients; afterwards they can be trained as before."""
    weights = [] if module is None else [weight for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


class SensitivityDistortion:
    """Squared errors of standardized values, weighted per level and channel, in nats a pixel of the original.

    The weights are measured from the heads once, when training starts (see `curvature`), and kept with the run.
    """

    def __init__(self, spec: PyramidSpec) -> None:
        self.curvature = {level.name: torch.zeros(level.channels) for level in spec.levels}
        self._deviation = torch.ones(len(spec.levels))

    def set(self, curvature: Mapping[str, Tensor], deviation: Tensor) -> None:
        """`curvature`: level → (channel,); `deviation`: (levels,) of the standardizer."""
        self.curvature = {name: curvature[name].detach().cpu().clone() for name in self.curvature}
        self._deviation = deviation.detach().cpu().clone()

    def state_dict(self) -> dict[str, Tensor]:
        """To continue from."""
        return {"deviation": self._deviation, **{f"curvature.{name}": each for name, each in self.curvature.items()}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse."""
        self.set({name: state[f"curvature.{name}"] for name in self.curvature}, state["deviation"])

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        nats = []
        for deviation, (name, weight) in zip(self._deviation.tolist(), self.curvature.items(), strict=True):
            error = (pair.decoded[name].float() - pair.original[name]).square().sum((2, 3)) / deviation**2
            nats.append(error @ weight.to(error.device) / 2)
        total = torch.stack(nats).sum(0)
        return {"sensitivity": (total if pair.per_image else total.mean()) / pair.pixels}


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of distortions."""

    parts: Sequence[tuple[float, Distortion]]

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        return {name: weight * term for weight, part in self.parts for name, term in part(pair).items()}


def build_distortion(settings: Loss, spec: PyramidSpec, detector: Detector | None) -> Distortion:
    """Raises `PyramidError` if the weights name other levels, and `UserError` if the detector shows no heads."""
    parts: list[tuple[float, Distortion]] = []
    for name, weight in settings.distortion.items():
        if name == "sensitivity":
            require_heads(detector)
            parts.append((weight, SensitivityDistortion(spec)))
        elif name == "mse":
            parts.append((weight, MseDistortion(settings.distortion_scale, level_weights(settings.weights, spec))))
        else:
            parts.append((weight, HeadDistortion(require_heads(detector))))
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else Mixture(parts)


def parts_of(distortion: Distortion) -> Sequence[Distortion]:
    """Those that a mixture adds up, or the distortion itself."""
    return [part for _, part in distortion.parts] if isinstance(distortion, Mixture) else [distortion]


def require_heads(detector: Detector | None) -> DetectorWithHeads:
    """The detector itself. Raises `UserError` unless its heads can be had."""
    if not isinstance(detector, DetectorWithHeads):
        name = "none" if detector is None else detector.name
        raise UserError(f"detector {name}: required the method `heads`, see DetectorWithHeads; found none")
    return detector
