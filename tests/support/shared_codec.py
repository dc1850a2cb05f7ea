"""A codec whose levels share one payload and that has a quality, without training and without compressai.

All levels are averaged to the size of the coarsest, multiplied by 2^quality, rounded and compressed with zlib.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit import container
from fpnkit.codecs.base import Codec, CodecOutput, Payload, Streams, symbols_crc
from fpnkit.codecs.saved import TrainedCodec, model_hash
from fpnkit.config.schema import Section
from fpnkit.errors import StreamError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec
from tests.support import tiny


class SharedSettings(Section):
    kind: Literal["shared_test"] = "shared_test"


class SharedCodec(Codec):
    qualities = (0.0, 8.0)

    def forward(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry] | None = None, quality: Tensor | None = None
    ) -> CodecOutput:
        assert quality is not None
        symbols = self._symbols(pyramid, quality)
        return CodecOutput(
            self._features(symbols, quality, pyramid.sizes),
            {"shared": (1 + symbols.abs()).log2()},
            {"shared": symbols},
        )

    def aux_loss(self) -> Tensor:
        return torch.zeros(())

    def update_quantiles(self) -> None:
        pass

    def make_tables(self) -> None:
        pass

    @torch.no_grad()
    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None = None) -> Streams:
        self.require_quality(quality)
        symbols = self._symbols(pyramid, torch.tensor([quality])).int()
        data = zlib.compress(symbols.numpy().tobytes())
        payloads = {"y": Payload(data, self.spec.names)}
        crc = symbols_crc(symbols)
        return Streams(payloads, pyramid.sizes, crc, geometry, quality, {"y": 8.0 * len(data)})

    @torch.no_grad()
    def decode(self, streams: Streams) -> Pyramid:
        self.require_quality(streams.quality)
        channels, (height, width) = (
            sum(level.channels for level in self.spec.levels),
            streams.sizes[self.spec.names[-1]],
        )
        try:
            data = zlib.decompress(streams.payloads["y"].data)
            values = struct.unpack(f"<{channels * height * width}i", data)
        except (KeyError, zlib.error, struct.error) as error:
            raise StreamError(f"payload y: {error}") from error
        symbols = torch.tensor(values, dtype=torch.int32).view(1, channels, height, width)
        if symbols_crc(symbols) != streams.symbols_crc:
            raise StreamError("symbols: another checksum")
        return self._features(symbols.float(), torch.tensor([streams.quality]), streams.sizes)

    def _symbols(self, pyramid: Pyramid, quality: Tensor) -> Tensor:
        scaled = self.standardiser(pyramid)
        smallest = pyramid.sizes[self.spec.names[-1]]
        together = torch.cat([F.adaptive_avg_pool2d(level, smallest) for level in scaled.values()], 1)
        return torch.round(together * 2 ** quality.view(-1, 1, 1, 1))

    def _features(self, symbols: Tensor, quality: Tensor, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        parts = (symbols / 2 ** quality.view(-1, 1, 1, 1)).split([level.channels for level in self.spec.levels], 1)
        levels = {name: F.interpolate(part, sizes[name]) for name, part in zip(self.spec.names, parts, strict=True)}
        return self.standardiser.inverse(Pyramid(levels))


def trained(spec: PyramidSpec = tiny.SPEC) -> TrainedCodec:
    codec = SharedCodec(spec).eval()
    config = tiny.config().model_copy(update={"codec": SharedSettings()})
    return TrainedCodec(codec, config, "f" * 64, 1, model_hash(codec.state_dict()))


@contextmanager
def known_to_the_format() -> Iterator[None]:
    """The format knows codecs by number."""
    with patch.dict(container.CODECS, {9: "shared_test"}):
        yield
