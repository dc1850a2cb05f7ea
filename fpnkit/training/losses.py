"""The rate-distortion loss and its named terms."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fpnkit.codecs.base import Codec, CodecOutput
from fpnkit.config.schema import Loss
from fpnkit.detectors.base import Detector, DetectorWithHeads
from fpnkit.errors import UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import distortion, level_weights, standardized_mse
from fpnkit.metrics.heads import head_distance
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class Batch:
    """Crops of one size, or one whole pyramid."""

    pyramid: Pyramid  # (batch, channel, height, width)
    pixels: float  # of the original images under all crops
    geometry: tuple[ImageGeometry, ...] | None = None  # of each crop; None: all of it is picture
    lmbda: Tensor | None = None  # (batch,) of each image; None: the objective's
    quality: Tensor | None = None  # (batch,) for a codec of several rates

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on the device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        pyramid = Pyramid({name: level.to(device) for name, level in self.pyramid.items()})
        return Batch(pyramid, self.pixels, self.geometry, moved(self.lmbda), moved(self.quality))


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


@dataclass(frozen=True)
class Objective:
    """`loss = lambda * distortion + bpp`."""

    lmbda: float
    distortion: Distortion
    lowest_lmbda: float | None = None  # of a codec of several rates, at quality 0
    highest_quality: float = 0.0  # at which lambda is `lmbda`

    def lmbda_at(self, quality: Tensor) -> Tensor:
        """In geometric progression from the lowest quality to the highest."""
        low, high = math.log(self.lowest_lmbda or self.lmbda), math.log(self.lmbda)
        return torch.exp(low + (high - low) * quality / max(1.0, self.highest_quality))


def build_distortion(settings: Loss, spec: PyramidSpec, detector: Detector) -> Distortion:
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


def require_heads(detector: Detector) -> DetectorWithHeads:
    """The detector itself. Raises `UserError` unless its heads can be had."""
    if not isinstance(detector, DetectorWithHeads):
        raise UserError(f"detector {detector.name}: required the method `heads`, see DetectorWithHeads; found none")
    return detector


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and its terms, as scalars."""

    loss: Tensor
    terms: Mapping[str, Tensor]  # `distortion`, `rate`; the terms of the distortion, if it has several
    mse: Mapping[str, Tensor]  # per level, standardized
    bits: Mapping[str, Tensor]  # per level, or `shared`; of the whole batch
    each: Tensor | None = None  # (batch,) the loss of each image, if each has its own lambda


def loss_terms(codec: Codec, output: CodecOutput, batch: Batch, objective: Objective) -> LossTerms:
    """Rate-distortion loss of a batch; the mean over images if each has its own lambda."""
    per_image = batch.lmbda is not None
    decoded, deviation = output.reconstruction, codec.standardiser.deviation
    mse = standardized_mse(batch.pyramid, decoded, deviation, per_image=per_image)
    pixels = batch.pixels / next(iter(batch.pyramid.values())).shape[0]
    parts = objective.distortion(DistortionInputs(batch.pyramid, decoded, mse, per_image, batch.geometry, pixels))
    error = functools.reduce(operator.add, parts.values())
    bits = {name: each.flatten(1).sum(1) if per_image else each.sum() for name, each in output.bits.items()}
    rate = torch.stack(list(bits.values())).sum(0) / (pixels if per_image else batch.pixels)
    loss = (objective.lmbda if batch.lmbda is None else batch.lmbda) * error + rate
    terms = {"distortion": error, "rate": rate, **(parts if len(parts) > 1 else {})}
    return LossTerms(
        loss.mean(),
        {name: term.mean() for name, term in terms.items()},
        {name: level.mean() for name, level in mse.items()},
        {name: count.sum() for name, count in bits.items()},
        loss if per_image else None,
    )
