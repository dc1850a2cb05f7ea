"""How differently the heads of a detector speak about two pyramids."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.detectors.base import HeadOutput, HeadOutputs

_SHARE_OF_THRESHOLD = 0.6  # scores somewhat below a threshold still matter, since they may come to lie above it
_SMALLEST_SCORE = 1e-3


def head_distance(original: HeadOutputs, decoded: HeadOutputs) -> Mapping[str, Tensor]:
    """`classes`, `boxes` and, where there are masks or keypoints, `maps` → (batch,) nats an image.

    Kullback-Leibler divergences from what the heads say about the original. Scores that never become detections are
    pressed together; boxes and maps count as much as the original's score at their place, or its `weight` where there
    is no score.
    """
    parts: dict[str, list[Tensor]] = {}
    for name, before in original.items():
        after = decoded[name]
        confidence = _confidence(before)
        if before.logits is not None and after.logits is not None:
            parts.setdefault("classes", []).append(_weighted(_classes(before, after), before.weight))
        if before.bins is not None and after.bins is not None:
            parts.setdefault("boxes", []).append(_weighted(_categorical(before.bins, after.bins).sum(-1), confidence))
        if before.offsets is not None and after.offsets is not None:
            moved = _moved((after.offsets - before.offsets) / before.tenth)
            parts.setdefault("boxes", []).append(_weighted(moved, confidence))
        if before.maps is not None and after.maps is not None:
            each = (
                _categorical(before.maps, after.maps) if before.peaks else _bernoulli(before.maps, after.maps).mean(-1)
            )
            parts.setdefault("maps", []).append(_weighted(each, confidence))
    return {name: torch.stack(each).sum(0) for name, each in parts.items()}


def _classes(before: HeadOutput, after: HeadOutput) -> Tensor:
    """(batch, place)."""
    assert before.logits is not None
    assert after.logits is not None
    if before.exclusive:
        return _categorical(before.logits, after.logits)
    low = _logit(max(_SMALLEST_SCORE, _SHARE_OF_THRESHOLD * before.threshold))
    return _bernoulli(_pressed(before.logits, low), _pressed(after.logits, low)).sum(-1)


def _confidence(output: HeadOutput) -> Tensor | None:
    """(batch, place) the best score, without a gradient."""
    if output.logits is None:
        return output.weight
    with torch.no_grad():
        best = output.logits.softmax(-1)[..., 1:].amax(-1) if output.exclusive else output.logits.amax(-1).sigmoid()
        return best if output.weight is None else best * output.weight


def _weighted(values: Tensor, weight: Tensor | None) -> Tensor:
    """(batch, place) → (batch,)."""
    return (values if weight is None else values * weight).sum(-1)


def _pressed(logits: Tensor, low: float) -> Tensor:
    """As they are far above `low`, and never below it."""
    return low + F.softplus(2 * (logits - low)) / 2


def _bernoulli(before: Tensor, after: Tensor) -> Tensor:
    """Divergence of the second from the first, logits of any shape."""
    chance = before.sigmoid()
    return chance * (F.logsigmoid(before) - F.logsigmoid(after)) + (1 - chance) * (
        F.logsigmoid(-before) - F.logsigmoid(-after)
    )


def _categorical(before: Tensor, after: Tensor) -> Tensor:
    """Divergence over the last dimension, which it sums."""
    before, after = before.log_softmax(-1), after.log_softmax(-1)
    return (before.exp() * (before - after)).sum(-1)


def _moved(tenths: Tensor) -> Tensor:
    """A small move costs half its square, a tenth of the box's size 0.4 nats, and a large one only the logarithm."""
    return torch.log1p(tenths.square() / 2).sum(-1)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
