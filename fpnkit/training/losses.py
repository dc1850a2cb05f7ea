"""The rate-distortion loss and its named terms."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fpnkit.codecs.base import Codec, CodecOutput
from fpnkit.config.schema import Loss
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import distortion, level_weights, standardized_mse
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class Batch:
    """Crops of one size, or one whole pyramid."""

    pyramid: Pyramid  # (batch, channel, height, width)
    pixels: float  # of the original images under all crops
    geometry: tuple[ImageGeometry, ...] | None = None  # of each crop; None: all of it is picture
    lmbda: Tensor | None = None  # (batch,) of each image; None: the objective's
    quality: Tensor | None = None  # (batch,) for a codec of several rates
    heads: Mapping[str, Tensor] | None = None  # outputs of the detector's heads on the originals

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on the device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        pyramid = Pyramid({name: level.to(device) for name, level in self.pyramid.items()})
        heads = None if self.heads is None else {name: value.to(device) for name, value in self.heads.items()}
        return Batch(pyramid, self.pixels, self.geometry, moved(self.lmbda), moved(self.quality), heads)


@dataclass(frozen=True)
class DistortionInputs:
    """The inputs of a distortion."""

    original: Pyramid
    decoded: Pyramid
    mse: Mapping[str, Tensor]  # level → standardized MSE, a scalar; (batch,) if `per_image`
    per_image: bool = False
    geometry: Sequence[ImageGeometry] | None = None
    heads: Mapping[str, Tensor] | None = None  # on the original


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
class Objective:
    """`loss = lambda * distortion + bpp`."""

    lmbda: float
    distortion: Distortion


def build_distortion(settings: Loss, spec: PyramidSpec) -> Distortion:
    """Raises `PyramidError` if the weights name other levels."""
    return MseDistortion(settings.distortion_scale, level_weights(settings.weights, spec))


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and its terms, as scalars."""

    loss: Tensor
    terms: Mapping[str, Tensor]  # `distortion`, `rate`; the terms of the distortion, if it has several
    mse: Mapping[str, Tensor]  # per level, standardized
    bits: Mapping[str, Tensor]  # per level, or `shared`; of the whole batch


def loss_terms(codec: Codec, output: CodecOutput, batch: Batch, objective: Objective) -> LossTerms:
    """Rate-distortion loss of a batch; the mean over images if each has its own lambda."""
    per_image = batch.lmbda is not None
    decoded, deviation = output.reconstruction, codec.standardiser.deviation
    mse = standardized_mse(batch.pyramid, decoded, deviation, per_image=per_image)
    parts = objective.distortion(DistortionInputs(batch.pyramid, decoded, mse, per_image, batch.geometry, batch.heads))
    error = functools.reduce(operator.add, parts.values())
    bits = {name: each.flatten(1).sum(1) if per_image else each.sum() for name, each in output.bits.items()}
    images = len(batch.lmbda) if batch.lmbda is not None else 1
    rate = torch.stack(list(bits.values())).sum(0) / (batch.pixels / images)
    loss = (objective.lmbda if batch.lmbda is None else batch.lmbda) * error + rate
    terms = {"distortion": error, "rate": rate, **(parts if len(parts) > 1 else {})}
    return LossTerms(
        loss.mean(),
        {name: term.mean() for name, term in terms.items()},
        {name: level.mean() for name, level in mse.items()},
        {name: count.sum() for name, count in bits.items()},
    )
