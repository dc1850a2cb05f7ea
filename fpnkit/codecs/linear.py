"""All levels as one grid of cells, by a linear map, a uniform quantizer and counted tables: trained by statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.codecs.base import Codec, CodecOutput, Payload, Start, Streams, symbols_crc
from fpnkit.codecs.cells import SIDE_CHANNELS, CellLayout, what_both_know
from fpnkit.codecs.exact import on_grid
from fpnkit.codecs.klt import fit_klt
from fpnkit.codecs.neighbors import LARGEST_SYMBOL, Coded, NeighborModel
from fpnkit.codecs.neighbors_fit import fit
from fpnkit.config.schema import LinearCodec
from fpnkit.container import QUALITY_STEPS, SHARED
from fpnkit.errors import PyramidError, StreamError, UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec

_SIDE = SIDE_CHANNELS + 4
_SYNTHESIS_STEP = 2.0**-20
_SAMPLED_VALUES = 250_000_000  # of cells for the KLT, 1 GB
_FITTED_VALUES = 40_000_000  # of components for the entropy model
_COARSER = 2.0  # steps than where a bit costs what it saves if errors cost as the curvature says, which is too much


class LinearPyramidCodec(Codec):
    """See `LinearCodec` for the settings. It has no parameters, and `start` is all of its training.

    Cells that are padding cost nothing and are decoded as the mean of such cells.
    """

    def __init__(self, settings: LinearCodec, spec: PyramidSpec) -> None:
        super().__init__(spec)
        self._layout = CellLayout(spec, stride=settings.stride)
        components = min(settings.components, self._layout.values)
        self.register_buffer("mean", torch.zeros(self._layout.values))
        self.register_buffer("padding", torch.zeros(self._layout.values))
        self.register_buffer("analysis", torch.zeros(components, self._layout.values))
        self.register_buffer("synthesis", torch.zeros(self._layout.values, components))
        self.register_buffer("steps", torch.ones(settings.rates, dtype=torch.float64))
        self.entropy = NeighborModel(components, settings.context_components, _SIDE, settings.rates)
        self._payload = SHARED if len(spec.names) > 1 else spec.names[0]
        if settings.rates > 1:
            self.qualities = (0.0, settings.rates - 1.0)

    mean: Tensor
    padding: Tensor
    analysis: Tensor
    synthesis: Tensor
    steps: Tensor

    @torch.no_grad()
    def start(self, start: Start) -> None:
        """The KLT of the features, steps that suit each lambda, and the entropy model."""
        cells, padding = self._sampled(start)
        klt = fit_klt(cells, self._layout, start.curvature, len(self.analysis))
        if len(klt.deviation) < len(self.analysis):
            raise PyramidError(
                f"training.calibration_images: required at least {len(self.analysis)} cells of stride "
                f"{self._layout.stride} that are not padding, found {len(klt.deviation)}"
            )
        self.mean.copy_(klt.mean)
        self.padding.copy_(klt.mean if padding is None else padding)
        self.analysis.copy_(klt.analysis)
        self.synthesis.copy_(klt.synthesis)
        for rate, lmbda in enumerate(start.lambdas):
            self.steps[rate] = _COARSER * math.sqrt(12 / (lmbda * math.log(2)))
        components, side, live = self._examples(start)
        fit(self.entropy, components, self.steps.tolist(), side, live)

    def forward(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None = None, quality: Tensor | None = None
    ) -> CodecOutput:
        """The same in training and evaluation mode: there is nothing to train."""
        count = len(next(iter(pyramid.values())))
        decoded, bits, latents = [], [], []
        for index in range(count):
            one = Pyramid({name: pyramid[name][index : index + 1] for name in self.spec.names})
            place = None if geometry is None else geometry[index]
            point = self._point(None if quality is None else round(quality[index].item(), 3))
            coded, known = self._quantized(one, place, point)
            decoded.append(self._synthesize(coded, known, point, one.sizes))
            bits.append(coded.bits)
            latents.append(coded.values.float())
        levels = {name: torch.cat([each[name] for each in decoded]) for name in self.spec.names}
        return CodecOutput(Pyramid(levels), {self._payload: torch.cat(bits)}, {self._payload: torch.cat(latents)})

    def aux_loss(self) -> Tensor:
        return self.mean.new_zeros(())

    def update_quantiles(self) -> None:
        """There are none."""

    def make_tables(self) -> None:
        """They are made by `start`."""

    @torch.no_grad()
    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None) -> Streams:
        self.require_quality(quality)
        self.spec.check(pyramid)
        point = self._point(quality)
        coded, known = self._quantized(pyramid, geometry, point)
        payload = Payload(self.entropy.write(coded, known.side, known.live, point.rate), self.spec.names)
        bits = {self._payload: coded.bits.sum().item()}
        return Streams({self._payload: payload}, pyramid.sizes, symbols_crc(coded.symbols[0]), geometry, quality, bits)

    @torch.no_grad()
    def decode(self, streams: Streams) -> Pyramid:
        self._check(streams)
        point = self._point(streams.quality)
        known = self._known(streams.geometry, self._layout.grid(streams.sizes), point)
        coded = self.entropy.read(streams.payloads[self._payload].data, known.side, known.live, point.rate)
        crc = symbols_crc(coded.symbols[0])
        if crc != streams.symbols_crc:
            raise StreamError(f"symbols: required the checksum {streams.symbols_crc:08x}, found {crc:08x}")
        return self._synthesize(coded, known, point, streams.sizes)

    def _check(self, streams: Streams) -> None:
        served = {name: payload.levels for name, payload in streams.payloads.items()}
        if served != {self._payload: self.spec.names}:
            found = ", ".join(f"{name or 'one'} for {' and '.join(levels)}" for name, levels in served.items())
            raise StreamError(f"payloads: required {self._payload} for all levels, found {found}")
        try:
            self.require_quality(streams.quality)
        except UserError as error:
            raise StreamError(str(error)) from None

    def _quantized(self, pyramid: Pyramid, geometry: ImageGeometry | None, point: _Point) -> tuple[Coded, _Known]:
        """One image."""
        known = self._known(geometry, self._layout.grid(pyramid.sizes), point)
        components = self._components(self.standardiser(pyramid)) / point.step
        coded = self.entropy.quantized(components, known.side, known.live, point.rate)
        largest = coded.symbols.abs().amax().item()
        if largest > LARGEST_SYMBOL:
            raise PyramidError(f"pyramid: required features whose symbols lie within {LARGEST_SYMBOL}, found {largest}")
        return coded, known

    def _components(self, standard: Pyramid) -> Tensor:
        """float64, so that the order of sums does not show in symbols."""
        cells = self._layout.packed(standard, self._layout.grid(standard.sizes)).double()
        return F.conv2d(cells - self.mean[:, None, None], self.analysis.double()[:, :, None, None])

    def _synthesize(self, coded: Coded, known: _Known, point: _Point, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        """From whole multiples of powers of two, whose sums are exact in float64."""
        weight = on_grid(self.synthesis * point.step, _SYNTHESIS_STEP)
        cells = (weight @ coded.values.flatten(2)).reshape(1, -1, *known.live.shape[1:])
        cells = torch.where(known.live[:, None], cells + self.mean[:, None, None], self.padding[:, None, None].double())
        return self.standardiser.inverse(self._layout.unpacked(cells.float(), sizes))

    def _point(self, quality: float | None) -> _Point:
        """Between two rates the step is interpolated, and the nearest one's statistics are used."""
        thousandths = 0 if quality is None else round(quality * QUALITY_STEPS)
        below = min(thousandths // QUALITY_STEPS, max(0, len(self.steps) - 2))
        above, rest = min(below + 1, len(self.steps) - 1), thousandths - below * QUALITY_STEPS
        first, second = self.steps[below].item(), self.steps[above].item()
        step = ((QUALITY_STEPS - rest) * first + rest * second) / QUALITY_STEPS
        rate = below if 2 * rest < QUALITY_STEPS else above
        return _Point(step, rate, self.steps[rate].item() / step)

    def _known(self, geometry: ImageGeometry | None, grid: tuple[int, int], point: _Point) -> _Known:
        """For one image."""
        known = what_both_know(None if geometry is None else [geometry], 1, grid, self._layout.stride)
        known = known.to(self.mean.device)
        return _Known(on_grid(_side(known) * point.scale), known[:, 0] > 0)

    def _sampled(self, start: Start) -> tuple[Tensor, Tensor | None]:
        """→ (n, values): as many cells as fit; the mean of those that are padding, if there are any."""
        parts: list[Tensor] = []
        padding: list[Tensor] = []
        room = _SAMPLED_VALUES // self._layout.values
        for pyramid, geometry in start.features():
            grid = self._layout.grid(pyramid.sizes)
            cells = self._layout.packed(self.standardiser(pyramid), grid)[0].flatten(1).T
            live = what_both_know([geometry], 1, grid, self._layout.stride)[0, 0].flatten() > 0
            parts.append(cells[live.to(cells.device)][:room])
            padding += [cells[~live].mean(0)] * bool((~live).any())
            room -= len(parts[-1])
            if room == 0:
                break
        return torch.cat(parts), torch.stack(padding).mean(0) if padding else None

    def _examples(self, start: Start) -> tuple[Tensor, Tensor, Tensor]:
        """→ components, side information and which cells are not padding, of images on one grid of cells."""
        components, sides, room = [], [], _FITTED_VALUES
        for pyramid, geometry in start.features():
            components.append(self._components(self.standardiser(pyramid)).float())
            sides.append(what_both_know([geometry], 1, self._layout.grid(pyramid.sizes), self._layout.stride))
            room -= components[-1].numel()
            if room <= 0:
                break
        grid = max(each.shape[2] for each in sides), max(each.shape[3] for each in sides)
        known = torch.cat([_on(each, grid) for each in sides]).to(self.mean.device)
        return torch.cat([_on(each, grid) for each in components]), _side(known), known[:, 0] > 0


@dataclass(frozen=True)
class _Point:
    """One quality."""

    step: float
    rate: int  # whose statistics are used
    scale: float  # that rate's step in units of this one


@dataclass(frozen=True)
class _Known:
    """What sender and receiver know of an image."""

    side: Tensor  # (1, channel, rows, columns) float64
    live: Tensor  # (1, rows, columns): cells that are not padding


def _side(known: Tensor) -> Tensor:
    """Inputs of linear models: 1, what both know, and what is not linear in it."""
    share, place = known[:, :1], known[:, 1:]
    return torch.cat([torch.ones_like(share), known, (share < 1).to(known.dtype), place.square()], dim=1)


def _on(values: Tensor, grid: Iterable[int]) -> Tensor:
    """Zeros added below and to the right; a share of 0 makes these cells padding."""
    below, right = (side - own for side, own in zip(grid, values.shape[2:], strict=True))
    return F.pad(values, (0, right, 0, below))
