"""What every codec offers: train through it, update its tables, encode and decode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from fpnkit.codecs.standardise import Standardiser
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class CodecOutput:
    """What a pyramid became on its way through the codec."""

    reconstruction: Pyramid  # in the units of the input
    bits: Mapping[str, Tensor]  # level → estimated bits of the whole batch, a scalar
    latents: Mapping[str, Tensor]  # level → (batch, latent channel, height, width), noisy or rounded


@dataclass(frozen=True)
class LevelStream:
    """One level of one image as the entropy coder wrote it."""

    payload: bytes
    size: tuple[int, int]  # (height, width) of the level before padding


@dataclass(frozen=True)
class Streams:
    """One image, coded."""

    levels: Mapping[str, LevelStream]


class Codec(nn.Module, ABC):
    """A learned codec for pyramids of one `PyramidSpec`.

    In training mode the latents carry uniform noise in place of rounding (Ballé et al. 2017, arXiv:1611.01704); in
    evaluation mode they are rounded, and `forward` reconstructs exactly what `decode(encode(pyramid))` gives.
    """

    def __init__(self, spec: PyramidSpec) -> None:
        super().__init__()
        self.spec = spec
        self.standardiser = Standardiser(spec)

    @abstractmethod
    def forward(self, pyramid: Pyramid) -> CodecOutput:
        """Levels (batch, channel, height, width) of any height and width."""

    @abstractmethod
    def aux_loss(self) -> Tensor:
        """Distance of the entropy models' quantiles from where their tails begin; minimised by its own optimiser."""

    @abstractmethod
    def update_tables(self) -> None:
        """Set quantiles and coding tables from the learned densities: once, on a copy, before coding."""

    @abstractmethod
    def encode(self, pyramid: Pyramid) -> Streams:
        """Code one image (batch 1); needs updated tables and evaluation mode."""

    @abstractmethod
    def decode(self, streams: Streams) -> Pyramid:
        """The inverse up to quantisation."""
