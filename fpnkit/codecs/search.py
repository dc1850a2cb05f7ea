"""Search in the encoder: the latents of an image are moved until rate and distortion together are lowest.

The decoder does not change and knows nothing of it (Campos et al. 2019, arXiv:1906.01223; Yang et al. 2020,
arXiv:2006.04240).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fpnkit.codecs.base import CodecOutput, Streams
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid

_MEMORY = 0.9, 0.999  # of the moments, as Adam's


@runtime_checkable
class Searchable(Protocol):
    """An optional protocol for codecs whose latents can be moved."""

    def latents(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], quality: Tensor | None) -> Tensor: ...

    def latent_steps(self, quality: Tensor | None) -> Tensor: ...

    def simulate(
        self,
        latents: Tensor,
        sizes: Mapping[str, tuple[int, int]],
        geometry: Sequence[ImageGeometry],
        quality: Tensor | None,
    ) -> CodecOutput: ...

    def encode_latents(
        self, latents: Tensor, sizes: Mapping[str, tuple[int, int]], geometry: ImageGeometry, quality: float | None
    ) -> Streams: ...


@dataclass(frozen=True)
class Search:
    """How long and how fast to search."""

    steps: int
    rate: float = 0.08  # of a quantizer step, the mean move of a latent in a step
    final: float = 0.0


def searched(
    codec: Searchable,
    pyramid: Pyramid,
    geometry: Sequence[ImageGeometry],
    quality: Tensor | None,
    cost: Callable[[CodecOutput], Tensor],
    search: Search,
) -> Tensor:
    """The best latents seen, image by image; `cost` gives (batch,) bits plus lambda times distortion.

    Adam with one second moment for the whole image, so that latents move in proportion to their gradients.
    """
    with torch.no_grad():
        start = codec.latents(pyramid, geometry, quality)
    unit = codec.latent_steps(quality)
    moved, best = start / unit, start.clone()
    lowest = torch.full((len(start),), math.inf, device=start.device)
    first, second = torch.zeros_like(moved), torch.zeros(len(start), 1, 1, 1, device=start.device)
    for step in range(1, search.steps + 2):
        leaf = moved.detach().requires_grad_()
        now = cost(codec.simulate(leaf * unit, pyramid.sizes, geometry, quality))
        better = now.detach() < lowest
        lowest = torch.where(better, now.detach(), lowest)
        best = torch.where(better[:, None, None, None], leaf.detach() * unit, best)
        if step > search.steps:
            break
        (gradient,) = torch.autograd.grad(now.sum(), leaf)
        first = _MEMORY[0] * first + (1 - _MEMORY[0]) * gradient
        second = _MEMORY[1] * second + (1 - _MEMORY[1]) * gradient.square().mean((1, 2, 3), keepdim=True)
        pace = search.rate * (1 + math.cos(math.pi * (step - 1) / search.steps)) / 2
        direction = first / (1 - _MEMORY[0] ** step) / (second / (1 - _MEMORY[1] ** step) + 1e-20).sqrt()
        moved = moved - pace * direction
    return best
