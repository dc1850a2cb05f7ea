"""What every codec offers: train through it, update its tables, encode and decode."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
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
    symbols_crc: int  # CRC-32 of all symbols, see `symbols_crc`
    bits_estimated: Mapping[str, float] = field(default_factory=dict, compare=False)  # level → bits; known on encoding


def symbols_crc(symbols: Tensor, before: int = 0) -> int:
    """CRC-32 of a level's symbols as int32, lowest byte first, in the order channel, row, column.

    `before` is that of the levels in front of it.
    """
    return zlib.crc32(np.ascontiguousarray(symbols.cpu().numpy(), "<i4").data, before)


@dataclass(frozen=True)
class CodedLatents:
    """The whole numbers that are coded for one level of one image, and what each costs."""

    symbols: Tensor  # int64 (latent channel, height, width), 0 where a latent is its channel's most likely one
    bits: Tensor  # float32, same shape: by the learned density


@dataclass(frozen=True)
class LatentDensity:
    """What the entropy model of one level expects."""

    probability: Tensor  # (latent channel, symbol) of the symbols asked for
    table: Tensor  # int64 (latent channel, 2): first and last symbol of the coding tables; others are escaped


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
    def update_quantiles(self) -> None:
        """Set the quantiles from the learned densities: evaluation mode rounds around the medians among them."""

    @abstractmethod
    def make_tables(self) -> None:
        """Set the coding tables from the learned densities and from quantiles that are up to date."""

    def update_tables(self) -> None:
        """Set quantiles and coding tables from the learned densities: once, on a copy, before coding."""
        self.update_quantiles()
        self.make_tables()

    @abstractmethod
    def encode(self, pyramid: Pyramid) -> Streams:
        """Code one image (batch 1); needs updated tables and evaluation mode.

        Raises `PyramidError` for features that cannot be coded: NaN, infinite, beyond all proportion.
        """

    @abstractmethod
    def decode(self, streams: Streams) -> Pyramid:
        """The inverse up to quantisation; raises `StreamError` for whatever `encode` did not make."""

    @abstractmethod
    def coded_latents(self, pyramid: Pyramid) -> Mapping[str, CodedLatents]:
        """Level → what `encode` would code of one image (batch 1), and the estimated bits of each element."""

    @abstractmethod
    def latent_density(self, level: str, symbols: Tensor) -> LatentDensity:
        """The learned density of a level at `symbols` (whole numbers); needs updated tables."""
