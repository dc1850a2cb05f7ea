"""One step of codec training: rate-distortion loss, two optimizers."""

from __future__ import annotations

import functools
import math
import operator
import statistics
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from fpnkit.codecs.base import Codec
from fpnkit.codecs.noise import share_of_batch
from fpnkit.container import SHARED
from fpnkit.errors import DivergedError
from fpnkit.metrics.distortion import snr_db
from fpnkit.metrics.rate import bpp
from fpnkit.training.losses import Batch, LossTerms, Objective, loss_terms
from fpnkit.training.optim import CodecOptimizers
from fpnkit.training.ranks import ALONE, Ranks
from fpnkit.training.rates import Balance
from fpnkit.training.tally import Tally, Values, of_batch


def codec_step(
    codec: Codec,
    batch: Batch,
    objective: Objective,
    optimizers: CodecOptimizers,
    *,
    clip: float,
    amp: bool,
    balance: Balance | None = None,
    ranks: Ranks = ALONE,
) -> Tally:
    """Forward, backward, both updates; raises `DivergedError` before a bad gradient can touch a weight.

    Of several processes each has its part of the batch; all make the same updates, and the tally is the whole batch's.
    """
    assert optimizers.network is not None  # a learner of a codec without parameters takes no steps
    codec.train()
    device = codec.standardiser.mean.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=amp), share_of_batch(ranks.rank, ranks.size):
        output = codec(batch.pyramid, batch.geometry, batch.quality)
    terms = loss_terms(codec, output, batch, objective)
    optimizers.network.zero_grad(set_to_none=True)
    torch.autograd.backward(_minimized(terms, batch, balance, ranks))
    ranks.average(each.grad for each in optimizers.network_parameters if each.grad is not None)
    norm = clip_grad_norm_(optimizers.network_parameters, clip)
    aux_loss = codec.aux_loss()
    if optimizers.quantiles is not None:
        optimizers.quantiles.zero_grad(set_to_none=True)
        torch.autograd.backward(aux_loss)
    tally = of_batch(ranks.gathered(to_tally(terms, batch.pixels, aux_loss, norm)))
    _require_finite(codec, tally)
    optimizers.network.step()
    if optimizers.quantiles is not None:
        optimizers.quantiles.step()
    return tally


def _minimized(terms: LossTerms, batch: Batch, balance: Balance | None, ranks: Ranks) -> Tensor:
    if balance is None or terms.each is None or batch.quality is None:
        return terms.loss
    return balance.balanced(terms.each, batch.quality, ranks)


def to_tally(terms: LossTerms, pixels: float, aux_loss: Tensor, gradient_norm: Tensor) -> Tally:
    """All numbers in one transfer from the device."""
    further = {name: term for name, term in terms.terms.items() if name not in ("distortion", "rate")}
    groups = (terms.bits, terms.mse, further)
    scalars = [terms.loss, terms.terms["distortion"], aux_loss, gradient_norm]
    scalars += [scalar for group in groups for scalar in group.values()]
    loss, error, aux, norm, *others = torch.stack([scalar.detach().float() for scalar in scalars]).tolist()
    rest = iter(others)
    bits, mse, named = ({name: next(rest) for name in group} for group in groups)
    return Tally(1, loss, error, aux, norm, pixels, bits, mse, named)


def values(tally: Tally, objective: Objective) -> Values:
    """Means of the distortions; bits over pixels of the whole set; the loss at the objective's lambda."""
    error = tally.distortion / tally.count
    rate = bpp(sum(tally.bits.values()), tally.pixels)
    return Values(
        loss=objective.lmbda * error + rate,
        bpp_estimated=rate,
        distortion=error,
        aux_loss=tally.aux_loss / tally.count,
        snr_db={name: snr_db(value / tally.count) for name, value in tally.mse.items()},
        bpp_level={name: bpp(value, tally.pixels) for name, value in tally.bits.items()},
        terms={name: value / tally.count for name, value in tally.terms.items()} or None,
    )


def over_qualities(tallies: Mapping[float | None, Tally], objective: Objective) -> Values:
    """Validation at several qualities: means, but the loss is the geometric mean of the qualities' losses.

    So a percent less counts the same at each quality, however large its lambda. Mean decibels are those of the mean
    error.
    """
    if set(tallies) == {None}:
        return values(tallies[None], objective)
    losses = []
    for quality, tally in tallies.items():
        lmbda = objective.lmbda_at(torch.tensor(float(quality or 0))).item()
        losses.append(lmbda * tally.distortion / tally.count + bpp(sum(tally.bits.values()), tally.pixels))
    mean = values(functools.reduce(operator.add, tallies.values()), objective)
    positive = all(0 < loss < math.inf for loss in losses)
    loss = math.exp(statistics.fmean(map(math.log, losses))) if positive else math.nan
    return replace(mean, loss=loss)


def _require_finite(codec: Codec, tally: Tally) -> None:
    for name in dict.fromkeys([*tally.bits, *tally.mse]):
        for what, values in (("rate", tally.bits), ("distortion", tally.mse)):
            if not math.isfinite(values.get(name, 0.0)):
                where = "shared payloads" if name == SHARED else f"level {name}"
                raise DivergedError(f"{where}: the {what} is {values[name]}")
    if not math.isfinite(tally.gradient_norm):
        bad = [name for name, value in codec.named_parameters() if not _finite(value.grad)]
        where = f"in {len(bad)} parameters, the first {bad[0]}" if bad else "as a whole, though each part is finite"
        raise DivergedError(f"the gradient is {tally.gradient_norm} {where}")
    if not math.isfinite(tally.aux_loss):
        raise DivergedError(f"the auxiliary loss of the quantiles is {tally.aux_loss}")


def _finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())
