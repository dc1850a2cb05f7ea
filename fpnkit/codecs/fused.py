"""Levels coded together, as one grid of cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from fpnkit.codecs.base import Codec, CodecOutput, ParameterGroup, Payload, Start, Streams, symbols_crc
from fpnkit.codecs.cell_codec import CellCodec
from fpnkit.codecs.cells import CellLayout
from fpnkit.codecs.context import LARGEST_SYMBOL
from fpnkit.config.schema import FusedCodec
from fpnkit.container import SHARED
from fpnkit.errors import PyramidError, StreamError, UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

Latents = Mapping[str, Tensor]  # payload → (batch, channel, rows, columns)


class FusedPyramidCodec(Codec):
    """See `FusedCodec` for the settings."""

    def __init__(self, settings: FusedCodec, spec: PyramidSpec) -> None:
        super().__init__(spec)
        self._plain_klt = not settings.head_metric
        sent = _sent(settings, spec)
        if settings.apart or len(spec.names) == 1:  # then a payload has its level's name
            layouts = {level.name: _alone(spec, level, settings.stride) for level in spec.levels}
            self.parts = nn.ModuleDict({name: CellCodec(settings, each, each) for name, each in layouts.items()})
        else:
            seen, decoded = (CellLayout(spec, names, settings.stride) for names in (sent, None))
            self.parts = nn.ModuleDict({SHARED: CellCodec(settings, seen, decoded)})
        if settings.rates > 1:
            self.qualities = (0.0, settings.rates - 1.0)

    def start(self, start: Start) -> None:
        for _, part in self._parts():
            part.start(self.standardiser, start, plain=self._plain_klt)

    def forward(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None = None, quality: Tensor | None = None
    ) -> CodecOutput:
        latents = self.latents(pyramid, geometry, quality)
        if self.training:
            return self.simulate(latents, pyramid.sizes, geometry, quality, noise=True)
        decoded: dict[str, Tensor] = {}
        bits: dict[str, Tensor] = {}
        levels: dict[str, Tensor] = {}
        for name, part in self._parts():
            side = part.side(geometry, latents[name], quality)
            coded = part.entropy.quantized(latents[name], side, part.exact_steps(quality, len(side)))
            decoded[name], bits[name] = coded.latents.float(), part.entropy.bits(coded)
            levels |= part.levels(decoded[name], side, pyramid.sizes)
        return CodecOutput(self._finished(levels), bits, decoded)

    def latents(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None, quality: Tensor | None
    ) -> dict[str, Tensor]:
        """What `simulate` and `encode_latents` take."""
        standard = self.standardiser(pyramid)
        return {name: part.latents(standard, geometry, quality) for name, part in self._parts()}

    def latent_steps(self, quality: Tensor | None, batch: int) -> dict[str, Tensor]:
        """(batch, channel, 1, 1) quantizer steps of each payload's latents."""
        return {name: part.steps(quality, batch).step.detach() for name, part in self._parts()}

    def simulate(
        self,
        latents: Latents,
        sizes: Mapping[str, tuple[int, int]],
        geometry: Sequence[ImageGeometry] | None,
        quality: Tensor | None,
        *,
        noise: bool = False,
    ) -> CodecOutput:
        """Rate and reconstruction of latents, with gradients; the rate is that of noisy or of rounded ones."""
        decoded: dict[str, Tensor] = {}
        bits: dict[str, Tensor] = {}
        levels: dict[str, Tensor] = {}
        for name, part in self._parts():
            side = part.side(geometry, latents[name], quality)
            with torch.autocast(side.device.type, enabled=False):  # half precision is coarser than the finest steps
                relaxed = part.entropy.relaxed(latents[name], side, part.steps(quality, len(side)), noise=noise)
            decoded[name], bits[name] = relaxed.latents, relaxed.bits
            levels |= part.levels(relaxed.latents, side, sizes)
        return CodecOutput(self._finished(levels), bits, decoded)

    def aux_loss(self) -> Tensor:
        return self.standardiser.mean.new_zeros(())

    def update_quantiles(self) -> None:
        for _, part in self._parts():
            part.update_steps()

    def make_tables(self) -> None:
        for _, part in self._parts():
            part.entropy.gaussian.make()

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        output = [
            each for _, part in self._parts() for each in (part.to_values.weight,) if isinstance(each, nn.Parameter)
        ]
        steps = [part.log2_step for _, part in self._parts()]
        special = {id(parameter) for parameter in (*output, *steps)}
        others = [parameter for parameter in self.parameters() if id(parameter) not in special]
        return (
            ParameterGroup("network", tuple(others)),
            ParameterGroup("output", tuple(output), 0.2),  # starts as the inverse of the KLT, which is good already
            ParameterGroup("steps", tuple(steps), 10.0),
        )

    @torch.no_grad()
    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None) -> Streams:
        self.require_quality(quality)
        self.spec.check(pyramid)
        return self.encode_latents(self.latents(pyramid, [geometry], _one(quality)), pyramid.sizes, geometry, quality)

    @torch.no_grad()
    def encode_latents(
        self, latents: Latents, sizes: Mapping[str, tuple[int, int]], geometry: ImageGeometry, quality: float | None
    ) -> Streams:
        """`encode` from `latents` on."""
        payloads: dict[str, Payload] = {}
        bits: dict[str, float] = {}
        crc = 0
        for name, part in self._parts():
            side = part.side([geometry], latents[name], _one(quality))
            coded = part.entropy.quantized(latents[name], side, part.exact_steps(_one(quality), 1))
            largest = coded.symbols.abs().amax().item()
            if largest > LARGEST_SYMBOL:
                required = f"features whose symbols lie within {LARGEST_SYMBOL}"
                raise PyramidError(f"{_about(name)}: required {required}, found {largest} or none that is finite")
            payloads[name] = Payload(part.entropy.write(coded), self.spec.names if name == SHARED else (name,))
            bits[name] = part.entropy.bits(coded).sum().item()
            crc = symbols_crc(coded.symbols[0], crc)
        return Streams(payloads, sizes, crc, geometry, quality, bits)

    @torch.no_grad()
    def decode(self, streams: Streams) -> Pyramid:
        self._check(streams)
        quality, crc = _one(streams.quality), 0
        received: dict[str, tuple[Tensor, Tensor]] = {}
        for name, part in self._parts():
            like = self.standardiser.mean.new_zeros(1, 1, *part.grid(streams.sizes))
            side = part.side([streams.geometry], like, quality)
            try:
                coded = part.entropy.read(streams.payloads[name].data, side, part.exact_steps(quality, 1))
            except StreamError as error:
                raise StreamError(f"{_about(name)}: {error}") from None
            received[name] = coded.latents.float(), side
            crc = symbols_crc(coded.symbols[0], crc)
        if crc != streams.symbols_crc:
            raise StreamError(f"symbols: required the checksum {streams.symbols_crc:08x}, found {crc:08x}")
        levels: dict[str, Tensor] = {}
        for name, part in self._parts():
            levels |= part.levels(*received[name], streams.sizes)
        return self._finished(levels)

    def _check(self, streams: Streams) -> None:
        required = {name: self.spec.names if name == SHARED else (name,) for name, _ in self._parts()}
        served = {name: payload.levels for name, payload in streams.payloads.items()}
        if served != required:
            raise StreamError(f"payloads: required {_listed(required)}, found {_listed(served)}")
        try:
            self.require_quality(streams.quality)
        except UserError as error:
            raise StreamError(str(error)) from None

    def _finished(self, levels: Mapping[str, Tensor]) -> Pyramid:
        return self.standardiser.inverse(Pyramid({name: levels[name] for name in self.spec.names}))

    def _parts(self) -> Iterator[tuple[str, CellCodec]]:
        for name, part in self.parts.items():
            assert isinstance(part, CellCodec)
            yield name, part


def _alone(spec: PyramidSpec, level: LevelSpec, stride: int | None) -> CellLayout:
    """Cells of one level, which none has to repeat."""
    return CellLayout(spec, [level.name], max(CellLayout(spec, stride=stride).stride, level.stride))


def _sent(settings: FusedCodec, spec: PyramidSpec) -> tuple[str, ...]:
    """Levels that the encoder sees."""
    if settings.levels is None:
        return spec.names
    if settings.apart:
        raise PyramidError("codec.levels: required none with codec.apart, where no level follows from another")
    unknown = [name for name in settings.levels if name not in spec.names]
    if unknown:
        raise PyramidError(f"codec.levels: required some of {', '.join(spec.names)}; found {', '.join(unknown)}")
    return tuple(name for name in spec.names if name in settings.levels)


def _about(payload: str) -> str:
    return "pyramid" if payload == SHARED else f"level {payload}"


def _listed(served: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name or 'one'} for {' and '.join(levels)}" for name, levels in served.items()) or "none"


def _one(quality: float | None) -> Tensor | None:
    return None if quality is None else torch.tensor([quality])
