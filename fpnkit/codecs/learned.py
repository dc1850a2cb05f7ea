"""A trained codec as a coder: pyramid → `.fpn` file → pyramid."""

from __future__ import annotations

from fpnkit import container
from fpnkit.codecs.base import Payload, Streams
from fpnkit.codecs.coder import CodedImage, CoderInput, ReceivedFeatures
from fpnkit.codecs.saved import TrainedCodec
from fpnkit.codecs.sender import SenderSearch
from fpnkit.container import SHARED, FilePayload, StreamFile
from fpnkit.errors import PyramidError, StreamError
from fpnkit.pyramid import Pyramid

# Decoding takes about 12 bytes for each: 600 MB. 1920 x 1080 pixels have 44 million at 256 channels from stride 4 on.
MOST_VALUES = 50_000_000


class LearnedCoder:
    """Encodes and decodes with one model.

    `encode` estimates the bits from the densities of the coded symbols, so the analysis transform runs only once.
    """

    suffix = container.SUFFIX

    def __init__(self, trained: TrainedCodec, quality: float | None = None, search: SenderSearch | None = None) -> None:
        """`quality` and `search` apply to encoding; a stream carries its quality, and nothing of a search."""
        self._kind: str = trained.config.codec.kind
        self.name = self._kind if search is None else f"{self._kind}{search.suffix}"
        self._codec, self._hash, self._quality, self._search = trained.codec, trained.hash, quality, search

    def encode(self, source: CoderInput) -> CodedImage:
        """Raises `PyramidError`, `StreamError` or `UserError` for features, sizes or a quality that cannot be coded."""
        _require_finite(source.pyramid)
        encode = self._codec.encode if self._search is None else self._search.encode
        streams = encode(source.pyramid, source.geometry, self._quality)
        names = self._codec.spec.names
        payloads = [
            FilePayload(each.data, tuple(map(names.index, each.levels)), "" if name in (SHARED, *each.levels) else name)
            for name, each in streams.payloads.items()
        ]
        stream = StreamFile(
            self._kind,
            self._hash,
            source.geometry,
            tuple(streams.sizes[name] for name in names),
            tuple(payloads),
            streams.symbols_crc,
            streams.quality,
        )
        self._check_sizes(stream)
        return CodedImage(container.write(stream), streams.bits_level(), streams.bits_level_estimated())

    def decode(self, data: bytes) -> ReceivedFeatures:
        """Raises `StreamError` for anything this model did not encode."""
        return self.decode_stream(container.read(data))

    def decode_stream(self, stream: StreamFile) -> ReceivedFeatures:
        """`decode` for a file that has already been read."""
        self.check(stream)
        names = self._codec.spec.names
        payloads = {
            each.name or (names[each.levels[0]] if len(each.levels) == 1 else SHARED): Payload(
                each.data, tuple(names[level] for level in each.levels)
            )
            for each in stream.payloads
        }
        sizes = dict(zip(names, stream.sizes, strict=True))
        streams = Streams(payloads, sizes, stream.symbols_crc, stream.geometry, stream.quality)
        pyramid = self._codec.decode(streams)
        return ReceivedFeatures(pyramid, stream.geometry)

    def check(self, stream: StreamFile) -> None:
        """Raise `StreamError` unless the file was made by this model; payloads are not checked."""
        if stream.model_hash != self._hash:
            raise StreamError(f"model: required {stream.model_hash}, with which the file was coded, found {self._hash}")
        names = self._codec.spec.names
        if (stream.codec, len(stream.sizes)) != (self._kind, len(names)):
            raise StreamError(
                f"levels: required {len(names)} of {self._kind}, found {len(stream.sizes)} of {stream.codec}"
            )
        self._check_sizes(stream)

    def require_values(self, stream: StreamFile, most: int | None = None) -> None:
        """Raise `StreamError` for a file of a few bytes that claims a pyramid of gigabytes.

        Counted is what every level has where the one that reaches furthest ends, which is what may be computed.
        """
        levels = self._codec.spec.levels
        rows, columns = (
            max(size[side] * level.stride for level, size in zip(levels, stream.sizes, strict=True)) for side in (0, 1)
        )
        most = MOST_VALUES if most is None else most
        found = sum(level.channels * -(-rows // level.stride) * -(-columns // level.stride) for level in levels)
        if found > most:
            raise StreamError(
                f"levels: required a pyramid of at most {most:,} values, found {found:,} for a canvas of "
                f"{stream.geometry.canvas[0]} x {stream.geometry.canvas[1]}; --max-values N, or max_values in Python, "
                "lifts the limit"
            )

    def _check_sizes(self, stream: StreamFile) -> None:
        """Strides are rounded to powers of two, so a real level is never larger than this."""
        rows, columns = stream.geometry.canvas
        for level, (height, width) in zip(self._codec.spec.levels, stream.sizes, strict=True):
            most = 2 * -(-rows // level.stride), 2 * -(-columns // level.stride)
            if height > most[0] or width > most[1]:
                raise StreamError(
                    f"level {level.name}: required at most {most[0]} x {most[1]} at stride {level.stride} of a canvas "
                    f"of {rows} x {columns}, found {height} x {width}"
                )


def _require_finite(pyramid: Pyramid) -> None:
    """Latents and symbols of one value that is not finite would no longer tell where it was."""
    for name, level in pyramid.items():
        if not bool(level.isfinite().all()):
            found = "nan" if bool(level.isnan().any()) else "inf"
            raise PyramidError(f"level {name}: required finite features, found {found}")
