"""What probes predict at each place of a pyramid's finest level, and how well."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.data.images import Sample
from fpnkit.geometry import ImageGeometry

_TYPICAL_CHANGE = 0.08
_LUMA = 0.299, 0.587, 0.114  # of red, green, blue (ITU-R BT.601)


Sums = tuple[float, ...]  # over places, of which a score is made; those of several images are added


@dataclass(frozen=True)
class ProbeTask:
    """A task that a pyramid can be asked for; predictions and targets are (places,), those that are known."""

    title: str  # of a column: the score with its unit
    labeled: bool  # needs boxes
    target: Callable[[Sample, ImageGeometry], Tensor]  # over the canvas (height, width), NaN where it is not known
    loss: Callable[[Tensor, Tensor], Tensor]
    sums: Callable[[Tensor, Tensor], Sums]
    score: Callable[[Sums], float]


def added(sums: Iterable[Sums]) -> Sums:
    """Those of several images."""
    return tuple(map(sum, zip(*sums, strict=True)))


def on_places(target: Tensor, size: tuple[int, int]) -> Tensor:
    """(height, width) of the canvas → means over the places of a level; NaN where anything is not known."""
    return F.interpolate(target[None, None], size, mode="area")[0, 0]


def _objects(sample: Sample, geometry: ImageGeometry) -> Tensor:
    """1 where a box is, 0 elsewhere in the picture; crowds are not known."""
    target = _unknown(geometry)
    (top, left), (height, width) = geometry.offset, geometry.content
    target[top : top + height, left : left + width] = 0
    scale = torch.tensor([width / geometry.original[1], height / geometry.original[0]]).repeat(2)
    spans = (sample.boxes * scale + torch.tensor([left, top]).repeat(2)).round().long().tolist()
    for value, wanted in ((1.0, False), (math.nan, True)):
        for (x0, y0, x1, y1), crowd in zip(spans, sample.crowd.tolist(), strict=True):
            if crowd == wanted:
                target[max(0, y0) : y1, max(0, x0) : x1] = value
    return target


def _picture(sample: Sample, geometry: ImageGeometry) -> Tensor:
    """Luma in [0, 1]."""
    target = _unknown(geometry)
    (top, left), (height, width) = geometry.offset, geometry.content
    luma = torch.einsum("chw,c->hw", sample.image.float() / 255, torch.tensor(_LUMA))
    target[top : top + height, left : left + width] = F.interpolate(luma[None, None], (height, width), mode="area")[
        0, 0
    ]
    return target


def _edges(sample: Sample, geometry: ImageGeometry) -> Tensor:
    """How much luma changes from one pixel of the canvas to the next, in deviations of that over natural pictures."""
    luma = _picture(sample, geometry)
    down, right = (F.pad(luma.diff(dim=dim), pad) for dim, pad in ((0, (0, 0, 0, 1)), (1, (0, 1, 0, 0))))
    return torch.hypot(down, right) / _TYPICAL_CHANGE


def _unknown(geometry: ImageGeometry) -> Tensor:
    return torch.full(geometry.canvas, math.nan)


def _overlap(predicted: Tensor, target: Tensor) -> Sums:
    found, there = predicted > 0, target > 0.5
    return (found & there).sum().item(), (found | there).sum().item()


def _iou(sums: Sums) -> float:
    both, either = sums
    return 100 * both / either if either else math.nan


def _squares(predicted: Tensor, target: Tensor) -> Sums:
    """Of errors and of targets."""
    error = (predicted - target).double().square().sum().item()
    return error, float(len(target)), target.double().sum().item(), target.double().square().sum().item()


def _explained(sums: Sums) -> float:
    """The share of the variance over places and images: 0 for the mean everywhere, below 0 for worse."""
    error, count, total, square = sums
    variance = square - total**2 / count
    return 100 * (1 - error / variance) if variance else math.nan


PROBES = {
    "objects": ProbeTask(
        "objects IoU, %", True, _objects, loss=F.binary_cross_entropy_with_logits, sums=_overlap, score=_iou
    ),
    "edges": ProbeTask("edges R², %", False, _edges, loss=F.mse_loss, sums=_squares, score=_explained),
    "picture": ProbeTask("picture R², %", False, _picture, loss=F.mse_loss, sums=_squares, score=_explained),
}
