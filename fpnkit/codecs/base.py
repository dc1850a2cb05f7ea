"""What every codec offers: training, updating its tables, encoding and decoding."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from fpnkit.codecs.calibration import Standardizer
from fpnkit.config.curve import Qualities, require_quality
from fpnkit.container import attributed
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class CodecOutput:
    """The result of a pyramid's way through the codec."""

    reconstruction: Pyramid  # in the units of the input
    bits: Mapping[str, Tensor]  # level or `shared` → (batch, …) estimated bits of each element that is coded
    latents: Mapping[str, Tensor]  # level or `shared` → (batch, latent channel, height, width), noisy or rounded


@dataclass(frozen=True)
class Payload:
    """A part of a stream, as written by the entropy coder."""

    data: bytes
    levels: tuple[str, ...]  # that it serves, finest first


@dataclass(frozen=True)
class Streams:
    """One image, coded."""

    payloads: Mapping[str, Payload]  # by name; one that serves a level alone may have the level's name
    sizes: Mapping[str, tuple[int, int]]  # level → (height, width)
    symbols_crc: int  # CRC-32 of all symbols, see `symbols_crc`
    geometry: ImageGeometry
    quality: float | None = None
    bits_estimated: Mapping[str, float] = field(default_factory=dict, compare=False)  # payload → bits; on encoding

    def bits_level(self) -> dict[str, int]:
        """Bits of the payloads by level, or `shared`: see `attributed`."""
        return attributed((each.levels, 8 * len(each.data)) for each in self.payloads.values())

    def bits_level_estimated(self) -> dict[str, float]:
        """Estimated bits by level, or `shared`."""
        return attributed((self.payloads[name].levels, bits) for name, bits in self.bits_estimated.items())


def symbols_crc(symbols: Tensor, before: int = 0) -> int:
    """CRC-32 of a payload's symbols as int32, lowest byte first, in the order channel, row, column.

    `before` is the CRC of the payloads before it.
    """
    return zlib.crc32(np.ascontiguousarray(symbols.cpu().numpy(), "<i4").data, before)


@dataclass(frozen=True)
class CodedLatents:
    """The integers coded for one level of one image, and the cost of each."""

    symbols: Tensor  # int64 (latent channel, height, width), 0 where a latent is its channel's most likely one
    bits: Tensor  # float32, same shape: by the learned density

    def to(self, device: torch.device) -> CodedLatents:
        """The same on a device."""
        return CodedLatents(self.symbols.to(device), self.bits.to(device))


@dataclass(frozen=True)
class LatentDensity:
    """The probabilities in the entropy model of one level."""

    probability: Tensor  # (latent channel, symbol) of the symbols asked for
    table: Tensor  # int64 (latent channel, 2): first and last symbol of the coding tables; others are escaped


@dataclass(frozen=True)
class ParameterGroup:
    """A part of a codec with its own learning rate."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    lr_factor: float = 1.0  # of training.lr


@dataclass(frozen=True)
class Start:
    """What a codec may know of its task before the first step."""

    features: Callable[[], Iterable[tuple[Pyramid, ImageGeometry]]]  # of calibration images, one by one; each call anew
    curvature: Mapping[str, Tensor]  # level → (channel, channel): second derivatives, see `training.curvature`
    lambdas: tuple[float, ...]  # in bits a unit of the whole image's distortion; of each rate, ascending


def is_quantile(parameter: str) -> bool:
    """Whether the name is that of an entropy model's quantiles, which have their own loss."""
    return parameter.endswith("quantiles")


class Codec(nn.Module, ABC):
    """A learned codec for pyramids of one `PyramidSpec`.

    In training mode the latents carry uniform noise in place of rounding (Ballé et al. 2017, arXiv:1611.01704); in
    evaluation mode they are rounded, and `forward` gives exactly the reconstruction of `decode(encode(pyramid))`.

    The geometry says which part of the canvas is picture rather than padding; sender and receiver both know it. The
    quality is a number on the curve of a variable-rate codec.
    """

    qualities: Qualities | None = None  # lowest and highest; None: one rate, and no quality is taken

    def __init__(self, spec: PyramidSpec) -> None:
        super().__init__()
        self.spec = spec
        self.standardiser = Standardizer(spec)  # spelled as in the checkpoints, whose hash covers the name

    @abstractmethod
    def forward(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None = None, quality: Tensor | None = None
    ) -> CodecOutput:
        """Levels (batch, channel, height, width) of any height and width.

        `geometry` is that of each image or crop (None: all picture); `quality` has shape (batch,).
        """

    def start(self, start: Start) -> None:
        """Set weights from statistics of the features, once the standardiser is set; by default none."""

    @abstractmethod
    def aux_loss(self) -> Tensor:
        """How far the entropy models' quantiles are from the start of their tails; minimized by its own optimizer."""

    @abstractmethod
    def update_quantiles(self) -> None:
        """Set the quantiles from the learned densities; evaluation mode rounds around their medians."""

    @abstractmethod
    def make_tables(self) -> None:
        """Set the coding tables from the learned densities and up-to-date quantiles."""

    def update_tables(self) -> None:
        """Set quantiles and coding tables from the learned densities: once, on a copy, before coding."""
        self.update_quantiles()
        self.make_tables()

    @abstractmethod
    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None) -> Streams:
        """Code one image (batch 1) in evaluation mode.

        Raises `PyramidError` for features that cannot be coded (NaN, infinite, far too large), and `UserError` before
        `update_tables` and for a quality that the codec does not have.
        """

    @abstractmethod
    def decode(self, streams: Streams) -> Pyramid:
        """The inverse up to quantization; raises `StreamError` for anything `encode` did not produce."""

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        """All parameters except the quantiles; one group unless parts of the codec have their own learning rates."""
        parameters = (value for name, value in self.named_parameters() if not is_quantile(name))
        return (ParameterGroup("network", tuple(parameters)),)

    def require_quality(self, quality: float | None) -> None:
        """Raise `UserError` unless the quality lies on the codec's curve, or is None for a codec with one rate."""
        require_quality(self.qualities, quality)


@runtime_checkable
class InspectableCodec(Protocol):
    """An optional protocol for codecs that expose their latents and the densities of their entropy model."""

    def coded_latents(
        self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None
    ) -> Mapping[str, CodedLatents]:
        """Level → what `encode` would code of one image (batch 1), and the estimated bits of each element."""
        ...

    def latent_density(self, level: str, symbols: Tensor) -> LatentDensity:
        """The learned density of a level at `symbols` (whole numbers); needs updated tables."""
        ...
