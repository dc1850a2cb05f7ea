"""Training one codec for many rates: which quality each image of a batch gets, and how the rates are balanced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fpnkit.codecs.base import Codec
from fpnkit.container import QUALITY_STEPS
from fpnkit.training.losses import Batch, Objective
from fpnkit.training.ranks import ALONE, Ranks

_MEMORY = 0.98  # of the running means, per image of their rate
VALIDATED = 4  # qualities, from the lowest to the highest


def with_quality(batch: Batch, objective: Objective, codec: Codec, key: Sequence[int], ranks: Ranks = ALONE) -> Batch:
    """Each image with a random quality and its lambda, for a codec of several rates; `key` seeds the draw."""
    if codec.qualities is None:
        return batch
    low, high = codec.qualities
    images = next(iter(batch.pyramid.values())).shape[0]
    drawn = np.random.default_rng(key).uniform(low, high, images * ranks.size)
    return at_quality(batch, objective, torch.tensor(ranks.share(drawn.tolist()), dtype=torch.float64))


def at_quality(batch: Batch, objective: Objective, quality: Tensor) -> Batch:
    """`quality` (images,), rounded to what a stream can carry."""
    device = next(iter(batch.pyramid.values())).device
    quality = ((quality.double() * QUALITY_STEPS).round() / QUALITY_STEPS).to(device, torch.float32)
    return replace(batch, quality=quality, lmbda=objective.lmbda_at(quality))


def validated_qualities(codec: Codec) -> list[float | None]:
    """The qualities that validation measures; None for a codec of one rate."""
    if codec.qualities is None:
        return [None]
    low, high = codec.qualities
    return [round(low + (high - low) * i / (VALIDATED - 1), 3) for i in range(VALIDATED)]


@dataclass
class Balance:
    """Divides each image's loss by the running mean of its rate, so that high rates do not drown the low ones."""

    means: Tensor  # (rates,); 0: none so far

    @classmethod
    def of(cls, codec: Codec) -> Balance | None:
        """None for a codec of one rate."""
        return None if codec.qualities is None else cls(torch.zeros(int(codec.qualities[1]) + 1))

    def balanced(self, losses: Tensor, quality: Tensor, ranks: Ranks = ALONE) -> Tensor:
        """Mean of the (images,) losses in units of their running means, which take the losses over."""
        rates = quality.round().long()
        for rate, loss in zip(ranks.joined(rates).tolist(), ranks.joined(losses).tolist(), strict=True):
            before = self.means[rate].item()
            self.means[rate] = loss if before == 0 else _MEMORY * before + (1 - _MEMORY) * loss
        return (losses / self.means[rates.cpu()].to(losses.device)).mean()
