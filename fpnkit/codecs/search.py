"""Search in the encoder: the latents of an image are moved until rate and distortion together are lowest.

The decoder does not change and knows nothing of it (Campos et al. 2019, arXiv:1906.01223; Yang et al. 2020,
arXiv:2006.04240).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fpnkit.codecs.base import CodecOutput, Streams
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid

_MEMORY = 0.8, 0.95  # of the moments, as Adam's but shorter, for few steps
_PACE = 0.02  # of a quantizer step: how far a latent moves in a step of search, the root of the mean square


@runtime_checkable
class SearchableCodec(Protocol):
    """An optional protocol for codecs whose latents can be moved; they go by the names of their payloads."""

    def latents(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None, quality: Tensor | None
    ) -> Mapping[str, Tensor]:
        """What the encoder would code: (batch, channel, rows, columns)."""
        ...

    def latent_steps(self, quality: Tensor | None, batch: int) -> Mapping[str, Tensor]:
        """Quantizer steps: (batch, channel, 1, 1)."""
        ...

    def simulate(
        self,
        latents: Mapping[str, Tensor],
        sizes: Mapping[str, tuple[int, int]],
        geometry: Sequence[ImageGeometry] | None,
        quality: Tensor | None,
    ) -> CodecOutput:
        """Rate and reconstruction of rounded latents, with gradients that help before rounding."""
        ...

    def encode_latents(
        self,
        latents: Mapping[str, Tensor],
        sizes: Mapping[str, tuple[int, int]],
        geometry: ImageGeometry,
        quality: float | None,
    ) -> Streams:
        """Code one image's latents."""
        ...


def searched(
    codec: SearchableCodec,
    pyramid: Pyramid,
    geometry: Sequence[ImageGeometry],
    quality: Tensor | None,
    cost: Callable[[CodecOutput], Tensor],
    steps: int,
) -> Mapping[str, Tensor]:
    """The best latents seen in `steps` steps, image by image; `cost` gives (batch,) bits + lambda * distortion.

    Adam with one second moment for the whole image, so that latents move in proportion to their gradients.
    """
    with torch.no_grad():
        start = codec.latents(pyramid, geometry, quality)
    units = codec.latent_steps(quality, len(next(iter(start.values()))))
    moved = {name: each / units[name] for name, each in start.items()}
    best, lowest = dict(moved), torch.full_like(next(iter(units.values()))[:, 0, 0, 0], math.inf)
    descent = _Descent(moved, steps)
    for step in range(steps + 1):
        leaves = {name: each.detach().requires_grad_() for name, each in moved.items()}
        latents = {name: leaf * units[name] for name, leaf in leaves.items()}
        now = cost(codec.simulate(latents, pyramid.sizes, geometry, quality))
        better = (now.detach() < lowest)[:, None, None, None]
        lowest = torch.minimum(lowest, now.detach())
        best = {name: torch.where(better, moved[name], best[name]) for name in moved}
        if step < steps:
            gradients = torch.autograd.grad(now.sum(), list(leaves.values()))
            moved = descent.moved(moved, dict(zip(leaves, gradients, strict=True)))
    return {name: each * units[name] for name, each in best.items()}


class _Descent:
    def __init__(self, like: Mapping[str, Tensor], steps: int) -> None:
        self._first = {name: torch.zeros_like(each) for name, each in like.items()}
        self._second: Tensor | float = 0.0
        self._steps, self._done = steps, 0

    def moved(self, values: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """After one step, along a cosine."""
        (slow, slower), self._done = _MEMORY, self._done + 1
        flat = torch.cat([each.flatten(1) for each in gradients.values()], dim=1)
        square = flat.square().mean(1)[:, None, None, None]
        self._second = slower * self._second + (1 - slower) * square
        size = (self._second / (1 - slower**self._done)).sqrt() + 1e-20
        pace = _PACE * (1 + math.cos(math.pi * (self._done - 1) / self._steps)) / 2
        for name, gradient in gradients.items():
            self._first[name] = slow * self._first[name] + (1 - slow) * gradient
        return {name: each - pace * self._first[name] / (1 - slow**self._done) / size for name, each in values.items()}
