"""One step of codec training: rate-distortion loss, two optimisers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from fpnkit.codecs.base import Codec, CodecOutput
from fpnkit.errors import DivergedError
from fpnkit.metrics.distortion import distortion, snr_db, standardised_mse
from fpnkit.metrics.rate import bpp
from fpnkit.pyramid import Pyramid
from fpnkit.training.optim import CodecOptimizers
from fpnkit.training.tally import Tally, Values


@dataclass(frozen=True)
class Objective:
    """`loss = lambda * distortion + bpp`."""

    lmbda: float
    distortion_scale: float
    weights: Mapping[str, float]  # per level

    @property
    def distortion_of_mean(self) -> float:
        """D0: the distortion of decoding the mean, every standardised MSE being 1."""
        return self.distortion_scale * sum(self.weights.values())


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and what it consists of; scalars."""

    loss: Tensor
    distortion: Tensor
    mse: Mapping[str, Tensor]  # per level, standardised
    bits: Mapping[str, Tensor]  # per level, of the whole batch


@dataclass(frozen=True)
class Batch:
    """Crops of one size, or one whole pyramid."""

    pyramid: Pyramid  # (batch, channel, height, width)
    pixels: float  # of the original images under all crops


def loss_terms(codec: Codec, output: CodecOutput, batch: Batch, objective: Objective) -> LossTerms:
    """Rate-distortion loss of what the codec made of a batch."""
    mse = standardised_mse(batch.pyramid, output.reconstruction, codec.standardiser.deviation)
    error = distortion(mse, objective.weights, objective.distortion_scale)
    bits = {name: elements.sum() for name, elements in output.bits.items()}
    rate = torch.stack(list(bits.values())).sum() / batch.pixels
    return LossTerms(objective.lmbda * error + rate, error, mse, bits)


def codec_step(
    codec: Codec, batch: Batch, objective: Objective, optimizers: CodecOptimizers, *, clip: float, amp: bool
) -> Tally:
    """Forward, backward, both updates; raises `DivergedError` before a bad gradient can touch a weight."""
    codec.train()
    device = codec.standardiser.mean.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
        output = codec(batch.pyramid)
    terms = loss_terms(codec, output, batch, objective)
    optimizers.network.zero_grad(set_to_none=True)
    torch.autograd.backward(terms.loss)
    norm = clip_grad_norm_(optimizers.network.param_groups[0]["params"], clip)
    aux_loss = codec.aux_loss()
    optimizers.quantiles.zero_grad(set_to_none=True)
    torch.autograd.backward(aux_loss)
    tally = to_tally(terms, batch.pixels, aux_loss, norm)
    _require_finite(codec, tally)
    optimizers.network.step()
    optimizers.quantiles.step()
    return tally


def to_tally(terms: LossTerms, pixels: float, aux_loss: Tensor, gradient_norm: Tensor) -> Tally:
    """All numbers in one transfer from the device."""
    names = list(terms.bits)
    scalars = [terms.loss, terms.distortion, aux_loss, gradient_norm, *terms.bits.values(), *terms.mse.values()]
    loss, error, aux, norm, *levels = torch.stack([scalar.detach().float() for scalar in scalars]).tolist()
    bits, mse = levels[: len(names)], levels[len(names) :]
    return Tally(
        1, loss, error, aux, norm, pixels, dict(zip(names, bits, strict=True)), dict(zip(names, mse, strict=True))
    )


def values(tally: Tally, objective: Objective) -> Values:
    """Means of the distortions; bits over pixels of the whole set."""
    error = tally.distortion / tally.count
    rate = bpp(sum(tally.bits.values()), tally.pixels)
    return Values(
        loss=objective.lmbda * error + rate,
        bpp_estimated=rate,
        distortion=error,
        aux_loss=tally.aux_loss / tally.count,
        snr_db={name: snr_db(value / tally.count) for name, value in tally.mse.items()},
        bpp_level={name: bpp(value, tally.pixels) for name, value in tally.bits.items()},
    )


def _require_finite(codec: Codec, tally: Tally) -> None:
    for name in tally.bits:
        for what, value in (("rate", tally.bits[name]), ("distortion", tally.mse[name])):
            if not math.isfinite(value):
                raise DivergedError(f"level {name}: the {what} is {value}")
    if not math.isfinite(tally.gradient_norm):
        bad = [name for name, value in codec.named_parameters() if not _finite(value.grad)]
        where = f"in {len(bad)} parameters, the first {bad[0]}" if bad else "as a whole, though each part is finite"
        raise DivergedError(f"the gradient is {tally.gradient_norm} {where}")
    if not math.isfinite(tally.aux_loss):
        raise DivergedError(f"the auxiliary loss of the quantiles is {tally.aux_loss}")


def _finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())
