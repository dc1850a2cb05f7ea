"""The rate-distortion loss and its named terms."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fpnkit.codecs.base import Codec, CodecOutput
from fpnkit.config.curve import lmbda_at
from fpnkit.distortions import Distortion, DistortionInputs
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import standardized_mse
from fpnkit.pyramid import Pyramid


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
class Objective:
    """`loss = lambda * distortion + bpp`."""

    lmbda: float
    distortion: Distortion
    lowest_lmbda: float | None = None  # of a codec of several rates, at quality 0
    highest_quality: float = 0.0  # at which lambda is `lmbda`

    def lmbda_at(self, quality: Tensor) -> Tensor:
        """Lambda at each quality, of the same shape."""
        low, highest = self.lowest_lmbda or self.lmbda, max(1.0, self.highest_quality)
        values = [lmbda_at(low, self.lmbda, each / highest) for each in quality.flatten().tolist()]
        return torch.tensor(values, device=quality.device).view(quality.shape)


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
