"""Per level: analysis, factorized prior, synthesis.

The transforms follow Ballé et al. 2018 (arXiv:1802.01436); the prior is compressai's entropy bottleneck. Its decoder
uses stored integer tables only, so symbols are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from fpnkit.codecs.base import Codec, CodecOutput, CodedLatents, LatentDensity, Payload, Streams, symbols_crc
from fpnkit.codecs.bottleneck import GDN, Bottleneck
from fpnkit.codecs.rans import LARGEST_SYMBOL
from fpnkit.config.schema import FactorizedCodec
from fpnkit.errors import PyramidError, StreamError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec


class LevelCodec(nn.Module):
    """One standardized level ↔ latents at 2^-halvings of its size."""

    def __init__(self, channels: int, hidden: int, latent: int, halvings: int) -> None:
        super().__init__()
        strides = [2] * halvings if halvings > 1 else [1, 2]  # at least one nonlinearity
        widths = [channels, *[hidden] * (len(strides) - 1), latent]
        analysis: list[nn.Module] = []
        synthesis: list[nn.Module] = []
        for index, stride in enumerate(strides):
            analysis.append(_convolution(widths[index], widths[index + 1], stride))
            synthesis.insert(0, _deconvolution(widths[index + 1], widths[index], stride))
            if index < len(strides) - 1:
                analysis.append(GDN(hidden))
                synthesis.insert(0, GDN(hidden, inverse=True))
        self.analysis = nn.Sequential(*analysis)
        self.synthesis = nn.Sequential(*synthesis)
        self.bottleneck = Bottleneck(latent)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """→ reconstruction, latents (noisy or rounded), their likelihoods."""
        latents = self.analysis(level)
        # The bottleneck's differences of sigmoids need float32: in half precision small likelihoods vanish.
        with torch.autocast(level.device.type, enabled=False):
            latents, likelihoods = self.bottleneck(latents.float())
        return self.synthesis(latents), latents, likelihoods


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Module:
    kernel = 5 if stride == 2 else 3
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def _deconvolution(inputs: int, outputs: int, stride: int) -> nn.Module:
    kernel = 5 if stride == 2 else 3
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding=kernel // 2, output_padding=stride - 1)


class FactorizedPyramidCodec(Codec):
    """Codes every level separately; see `FactorizedCodec` for the settings."""

    def __init__(self, settings: FactorizedCodec, spec: PyramidSpec) -> None:
        super().__init__(spec)
        halvings = _halvings(settings.halvings, spec)
        self.multiples = {name: 2**count for name, count in halvings.items()}
        self.levels = nn.ModuleDict(
            {
                level.name: LevelCodec(
                    level.channels, settings.channels, settings.latent_channels, halvings[level.name]
                )
                for level in spec.levels
            }
        )

    def forward(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None = None, quality: Tensor | None = None
    ) -> CodecOutput:
        padded = self.standardiser(pyramid).padded(self.multiples)
        reconstruction: dict[str, Tensor] = {}
        bits: dict[str, Tensor] = {}
        latents: dict[str, Tensor] = {}
        for name, level in self.levels.items():
            reconstruction[name], latents[name], likelihoods = level(padded[name])
            bits[name] = -likelihoods.log2()
        return CodecOutput(self._finish(reconstruction, pyramid.sizes), bits, latents)

    def aux_loss(self) -> Tensor:
        return torch.stack([level.bottleneck.loss() for _, level in self._level_codecs()]).sum()

    def update_quantiles(self) -> None:
        for _, level in self._level_codecs():
            level.bottleneck._update_quantiles()

    @torch.no_grad()
    def make_tables(self) -> None:
        for _, level in self._level_codecs():
            level.bottleneck.update(force=True)

    @torch.no_grad()
    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None) -> Streams:
        self.require_quality(quality)
        self.spec.check(pyramid)
        padded = self.standardiser(pyramid).padded(self.multiples)
        payloads, bits, crc = {}, {}, 0
        for name, level in self._level_codecs():
            (latents,) = level.analysis(padded[name])
            symbols = _checked(name, level.bottleneck.symbols(latents)).int()
            payloads[name] = Payload(level.bottleneck.encode(symbols), (name,))
            bits[name] = level.bottleneck.estimated_bits(symbols)
            crc = symbols_crc(symbols, crc)
        return Streams(payloads, pyramid.sizes, crc, geometry, bits_estimated=bits)

    @torch.no_grad()
    def decode(self, streams: Streams) -> Pyramid:
        self._check_payloads(streams)
        symbols, crc = {}, 0
        for name, level in self._level_codecs():
            (height, width), multiple = streams.sizes[name], self.multiples[name]
            size = (-(-height // multiple), -(-width // multiple))
            try:
                symbols[name] = level.bottleneck.decode(streams.payloads[name].data, size)
            except StreamError as error:
                raise StreamError(f"level {name}: {error}") from None
            crc = symbols_crc(symbols[name], crc)
        if crc != streams.symbols_crc:
            raise StreamError(f"symbols: required the checksum {streams.symbols_crc:08x}, found {crc:08x}")
        reconstruction = {
            name: level.synthesis(level.bottleneck.latents(symbols[name].to(level.bottleneck.quantiles.device))[None])
            for name, level in self._level_codecs()
        }
        return self._finish(reconstruction, streams.sizes)

    @torch.no_grad()
    def coded_latents(
        self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None
    ) -> dict[str, CodedLatents]:
        self.spec.check(pyramid)
        padded = self.standardiser(pyramid).padded(self.multiples)
        coded = {}
        for name, level in self._level_codecs():
            latents = level.analysis(padded[name])
            symbols = _checked(name, level.bottleneck.symbols(latents[0])).long()
            _, likelihoods = level.bottleneck(latents, training=False)
            coded[name] = CodedLatents(symbols, -likelihoods[0].log2())
        return coded

    @torch.no_grad()
    def latent_density(self, level: str, symbols: Tensor) -> LatentDensity:
        codec = self.levels[level]
        assert isinstance(codec, LevelCodec)
        bottleneck = codec.bottleneck
        probability, _, _ = bottleneck._likelihood(
            bottleneck.quantiles[:, :, 1:2] + symbols.to(bottleneck.quantiles.device)
        )
        first = bottleneck._offset.long()  # a table's last entry stands for all escaped symbols
        return LatentDensity(probability[:, 0], torch.stack([first, first + bottleneck._cdf_length.long() - 3], dim=1))

    def _check_payloads(self, streams: Streams) -> None:
        served = {name: payload.levels for name, payload in streams.payloads.items()}
        if streams.quality is not None or served != {name: (name,) for name in self.spec.names}:
            found = ", ".join(f"{name or 'one'} for {' and '.join(levels)}" for name, levels in served.items())
            quality = "" if streams.quality is None else f" of quality {streams.quality:g}"
            raise StreamError(f"payloads: required one for each level, without quality, found {found}{quality}")

    def _finish(self, levels: Mapping[str, Tensor], sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        return self.standardiser.inverse(Pyramid(levels).cropped(sizes))

    def _level_codecs(self) -> Iterator[tuple[str, LevelCodec]]:
        """Finest first."""
        for name, level in self.levels.items():
            assert isinstance(level, LevelCodec)
            yield name, level


def _halvings(chosen: Mapping[str, int] | None, spec: PyramidSpec) -> dict[str, int]:
    """How often each level is halved in size.

    Default: P2 thrice, P3 and P4 twice, P5 and P6 once, so that latents lie at 1/32 to 1/128 of the input.
    """
    if chosen is None:
        return {level.name: max(1, (8 - level.stride.bit_length() + 1) // 2) for level in spec.levels}
    if set(chosen) != set(spec.names):
        raise PyramidError(f"codec.halvings: required the levels {', '.join(spec.names)}; found {', '.join(chosen)}")
    return dict(chosen)


def _checked(name: str, symbols: Tensor) -> Tensor:
    largest = symbols.abs().amax().item()
    if not largest <= LARGEST_SYMBOL:  # nor if it is NaN
        raise PyramidError(
            f"level {name}: required features whose latents lie within {LARGEST_SYMBOL}, found {largest:g}"
        )
    return symbols
