"""All levels as one grid of cells: a KLT under the metric of the distortion with a learned branch beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpnkit.codecs.base import (
    Codec,
    CodecOutput,
    ParameterGroup,
    Payload,
    Start,
    Streams,
    symbols_crc,
)
from fpnkit.codecs.cells import SIDE_CHANNELS, CellLayout, what_both_know
from fpnkit.codecs.context import LARGEST_SYMBOL, ContextModel, Steps, interpolated
from fpnkit.codecs.exact import on_grid
from fpnkit.codecs.klt import fit_klt
from fpnkit.config.schema import FusedCodec
from fpnkit.container import QUALITY_STEPS, SHARED
from fpnkit.errors import PyramidError, StreamError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec

PAYLOAD = "latents"
_STEP_GRID = 2.0**-20
_LARGEST_STEP = 512.0
_SAMPLED_VALUES = 250_000_000  # of cells for the KLT, 1 GB
_EXPANSION = 4  # of channels within a block


class FusedPyramidCodec(Codec):
    """See `FusedCodec` for the settings."""

    def __init__(self, settings: FusedCodec, spec: PyramidSpec) -> None:
        super().__init__(spec)
        self._layout = CellLayout(spec)
        if self._layout.values < settings.latent_channels:
            raise PyramidError(
                f"codec.latent_channels: required at most the {self._layout.values} values of a cell, "
                f"found {settings.latent_channels}"
            )
        self._settings = settings
        side, latents = SIDE_CHANNELS + 1, settings.latent_channels
        components = min(settings.components, self._layout.values)
        self.register_buffer("mean", torch.zeros(self._layout.values))
        self.register_buffer("analysis", torch.zeros(components, self._layout.values))
        self.register_buffer("deviation", torch.ones(components))
        self.encoder = Branch(components + side, settings.channels, settings.blocks)
        self.to_latents = nn.Conv2d(settings.channels, latents, 1)
        self.decoder = Branch(latents + side, settings.channels, settings.blocks)
        self.to_values = nn.Conv2d(latents + settings.channels, self._layout.values, 1)
        self.entropy = ContextModel(
            latents, settings.context_channels, side, slices=settings.slices, checkerboard=settings.checkerboard
        )
        self.log2_step = nn.Parameter(torch.zeros(settings.rates, latents))
        self.register_buffer("step_table", torch.ones(settings.rates, latents, dtype=torch.float64))
        self.register_buffer("log2_table", torch.zeros(settings.rates, latents, dtype=torch.float64))
        for layer in (self.to_latents, self.to_values):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        if settings.rates > 1:
            self.qualities = (0.0, settings.rates - 1.0)

    mean: Tensor
    analysis: Tensor
    deviation: Tensor
    step_table: Tensor
    log2_table: Tensor

    @torch.no_grad()
    def start(self, start: Start) -> None:
        """The KLT of the features, its inverse in the decoder, and steps that suit each lambda."""
        cells = _sampled(map(self.standardiser, start.pyramids()), self._layout)
        klt = fit_klt(cells, self._layout, start.curvature, len(self.analysis))
        if len(klt.deviation) < len(self.analysis):
            raise PyramidError(
                f"training.calibration_images: required at least {len(self.analysis)} cells of stride "
                f"{self._layout.stride}, found {len(klt.deviation)}"
            )
        latents = self.log2_step.shape[1]
        deviation = klt.deviation[:latents].clamp(min=1e-6)
        self.mean.copy_(klt.mean)
        self.analysis.copy_(klt.analysis)
        self.deviation.copy_(klt.deviation.clamp(min=1e-6))
        self.to_values.weight[:, :latents, 0, 0] = klt.synthesis[:, :latents] * deviation
        self.to_values.bias.copy_(klt.mean)
        for row, lmbda in zip(self.log2_step, start.lambdas, strict=True):
            step = (12 / (lmbda * torch.log(torch.tensor(2.0)))) ** 0.5  # where a bit more costs what it saves
            row.copy_((step / deviation).clamp(max=_LARGEST_STEP).log2())
        self.update_quantiles()

    def forward(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None = None, quality: Tensor | None = None
    ) -> CodecOutput:
        latents, side = self._analyze(pyramid, geometry, quality)
        if self.training:
            relaxed = self.entropy.relaxed(latents, side, self._steps(quality, len(latents)), noise=True)
            decoded, bits = relaxed.latents, relaxed.bits
        else:
            coded = self.entropy.quantized(latents, side, self._exact_steps(quality, len(latents)))
            decoded, bits = coded.latents.float(), self.entropy.bits(coded)
        return CodecOutput(self._synthesize(decoded, side, pyramid.sizes), {SHARED: bits}, {SHARED: decoded})

    def latents(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], quality: Tensor | None) -> Tensor:
        """What `simulate` and `encode_latents` take."""
        return self._analyze(pyramid, geometry, quality)[0]

    def simulate(
        self,
        latents: Tensor,
        sizes: Mapping[str, tuple[int, int]],
        geometry: Sequence[ImageGeometry],
        quality: Tensor | None,
    ) -> CodecOutput:
        """Rate and reconstruction of latents, with gradients."""
        side = self._side(geometry, latents, quality)
        relaxed = self.entropy.relaxed(latents, side, self._steps(quality, len(latents)), noise=False)
        return CodecOutput(
            self._synthesize(relaxed.latents, side, sizes), {SHARED: relaxed.bits}, {SHARED: relaxed.latents}
        )

    def latent_steps(self, quality: Tensor | None) -> Tensor:
        """(batch, channel, 1, 1) quantizer steps."""
        return self._steps(quality, 1).step.detach()

    def aux_loss(self) -> Tensor:
        return self.log2_step.new_zeros(())

    @torch.no_grad()
    def update_quantiles(self) -> None:
        self.step_table.copy_(on_grid(self.log2_step.double().exp2(), _STEP_GRID).clamp(min=_STEP_GRID))
        self.log2_table.copy_(on_grid(self.log2_step))

    @torch.no_grad()
    def make_tables(self) -> None:
        self.entropy.gaussian.make()

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        output, steps = [self.to_values.weight], [self.log2_step]
        special = {id(parameter) for parameter in (*output, *steps)}
        others = [parameter for parameter in self.parameters() if id(parameter) not in special]
        return (
            ParameterGroup("network", tuple(others)),
            ParameterGroup("output", tuple(output), 0.2),  # starts as the inverse of the map, which is good already
            ParameterGroup("steps", tuple(steps), 10.0),
        )

    @torch.no_grad()
    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None) -> Streams:
        self.require_quality(quality)
        self.spec.check(pyramid)
        return self.encode_latents(self.latents(pyramid, [geometry], _one(quality)), pyramid.sizes, geometry, quality)

    @torch.no_grad()
    def encode_latents(
        self, latents: Tensor, sizes: Mapping[str, tuple[int, int]], geometry: ImageGeometry, quality: float | None
    ) -> Streams:
        """`encode` from `latents` on."""
        side = self._side([geometry], latents, _one(quality))
        coded = self.entropy.quantized(latents, side, self._exact_steps(_one(quality), 1))
        largest = coded.symbols.abs().amax().item()
        if largest > LARGEST_SYMBOL:
            raise PyramidError(f"pyramid: required features whose symbols lie within {LARGEST_SYMBOL}, found {largest}")
        payload = Payload(self.entropy.write(coded), self.spec.names)
        bits = {PAYLOAD: self.entropy.bits(coded).sum().item()}
        return Streams({PAYLOAD: payload}, sizes, symbols_crc(coded.symbols[0]), geometry, quality, bits)

    @torch.no_grad()
    def decode(self, streams: Streams) -> Pyramid:
        quality = self._check(streams)
        grid = self._layout.grid(streams.sizes)
        like = self.log2_step.new_zeros(1, 1, *grid)
        side = self._side([streams.geometry], like, quality)
        coded = self.entropy.read(streams.payloads[PAYLOAD].data, side, self._exact_steps(quality, 1))
        crc = symbols_crc(coded.symbols[0])
        if crc != streams.symbols_crc:
            raise StreamError(f"symbols: required the checksum {streams.symbols_crc:08x}, found {crc:08x}")
        return self._synthesize(coded.latents.float(), side, streams.sizes)

    def _check(self, streams: Streams) -> Tensor | None:
        served = {name: payload.levels for name, payload in streams.payloads.items()}
        if served != {PAYLOAD: self.spec.names}:
            found = ", ".join(f"{name or 'one'} for {' and '.join(levels)}" for name, levels in served.items())
            raise StreamError(f"payloads: required {PAYLOAD} for all levels, found {found}")
        try:
            self.require_quality(streams.quality)
        except Exception as error:
            raise StreamError(str(error)) from None
        return _one(streams.quality)

    def _analyze(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None, quality: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """→ latents, side information."""
        standard = self.standardiser(pyramid)
        cells = self._layout.packed(standard, self._layout.grid(pyramid.sizes))
        side = self._side(geometry, cells, quality)
        with torch.autocast(cells.device.type, enabled=False):  # half precision would be coarser than the finest steps
            components = F.conv2d(cells - self.mean[:, None, None], self.analysis[:, :, None, None])
        unit = components / self.deviation[:, None, None]
        count = self.log2_step.shape[1]
        heard = (self.deviation / self.deviation[0]).sqrt()[:, None, None]
        branch = self.to_latents(self.encoder(torch.cat([unit * heard, side], dim=1)))
        return unit[:, :count] + branch.float(), side

    def _synthesize(self, latents: Tensor, side: Tensor, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        hidden = self.decoder(torch.cat([latents, side], dim=1))
        cells = self.to_values(torch.cat([latents, hidden.float()], dim=1))
        return self.standardiser.inverse(self._layout.unpacked(cells.float(), sizes))

    def _side(self, geometry: Sequence[ImageGeometry] | None, like: Tensor, quality: Tensor | None) -> Tensor:
        """(batch, channels, rows, columns) of what sender and receiver know: picture, place, quality."""
        grid = like.shape[2], like.shape[3]
        known = what_both_know(geometry, len(like), grid, self._layout.stride).to(like.device)
        level = torch.zeros(len(like)) if quality is None else quality / max(1, len(self.log2_step) - 1)
        plane = on_grid(level).float().to(like.device)[:, None, None, None].expand(-1, 1, *grid)
        return torch.cat([known, plane], dim=1)

    def _steps(self, quality: Tensor | None, batch: int) -> Steps:
        quality = torch.zeros(batch, device=self.log2_step.device) if quality is None else quality
        step = interpolated(self.log2_step.exp2(), quality, QUALITY_STEPS)
        return Steps(step, interpolated(self.log2_step, quality, QUALITY_STEPS))

    def _exact_steps(self, quality: Tensor | None, batch: int) -> Steps:
        quality = torch.zeros(batch, device=self.log2_step.device) if quality is None else quality
        step, log2 = (interpolated(table, quality, QUALITY_STEPS) for table in (self.step_table, self.log2_table))
        return Steps(on_grid(step, _STEP_GRID), on_grid(log2))


class Branch(nn.Module):
    """1x1 to a number of channels, then residual blocks."""

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 1)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))

    def forward(self, values: Tensor) -> Tensor:
        """(batch, inputs, rows, columns) → (batch, channels, rows, columns)."""
        return self.blocks(self.first(values))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Depthwise 3x3, 1x1 up, GELU, 1x1 down (Liu et al. 2022, arXiv:2201.03545)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.Conv2d(channels, _EXPANSION * channels, 1),
            nn.GELU(),
            nn.Conv2d(_EXPANSION * channels, channels, 1),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Any size, kept."""
        return values + self.body(values)  # type: ignore[no-any-return]


def _one(quality: float | None) -> Tensor | None:
    return None if quality is None else torch.tensor([quality])


def _sampled(pyramids: Iterable[Pyramid], layout: CellLayout) -> Tensor:
    """(n, values): cells of the pyramids, as many as fit."""
    parts, room = [], _SAMPLED_VALUES // layout.values
    for pyramid in pyramids:
        cells = layout.packed(pyramid, layout.grid(pyramid.sizes)).flatten(2).transpose(1, 2).flatten(0, 1)
        parts.append(cells[:room])
        room -= len(parts[-1])
        if room == 0:
            break
    return torch.cat(parts)
