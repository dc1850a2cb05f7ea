"""Features coded with general tools: quantized, then compressed by a byte coder or a video coder.

Each level is quantized in even steps between its lowest and highest value, which go into the file as two float32.
Before them stand varints: the image's original, content, canvas and offset (8 numbers), each level's height and width.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import zstandard
from numpy.typing import NDArray
from torch import Tensor

from fpnkit.anchors import hevc, vvc
from fpnkit.anchors.fields import geometry_bytes, read_geometry, read_size, read_to_end, with_length
from fpnkit.anchors.tiling import frame_size, tile, untile
from fpnkit.codecs.coder import CodedImage, CoderInput, ReceivedFeatures
from fpnkit.errors import PyramidError, StreamError
from fpnkit.foundation.varints import ByteReader, varints
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec

_RANGE = struct.Struct("<ff")
_ZSTD_LEVEL = 19  # the strongest that a receiver decodes within zstd's usual 8 MiB of memory
_WINDOW = 2**23  # bytes that it looks back at most
_MOST_BITS = 8  # that a byte holds
_VIDEO_BITS = 10
_GRAY: Literal["gray10le"] = "gray10le"

Array = NDArray[Any]


@dataclass(frozen=True)
class _Header:
    geometry: ImageGeometry
    shapes: Mapping[str, tuple[int, int, int]]  # level → (channel, height, width)
    ranges: Mapping[str, tuple[float, float]]  # level → lowest and highest value


class ZstdFeatures:
    """Implements `AnchorCoder`: `quality` bits per value, one byte each, levels compressed separately by Zstandard.

    The number of bits is the file's first byte.
    """

    name = "features_zstd"
    suffix = ".features_zstd"

    def __init__(self, spec: PyramidSpec, quality: int) -> None:
        self._spec, self._bits = spec, quality

    @property
    def encoder(self) -> str:
        """Zstandard's version and level."""
        version = ".".join(map(str, zstandard.ZSTD_VERSION))
        return f"zstandard {zstandard.__version__}, Zstandard {version}, level {_ZSTD_LEVEL}"

    def encode(self, source: CoderInput) -> CodedImage:
        """Raises `PyramidError`: not this pyramid, or values that are not finite."""
        header, levels = _quantized(self._spec, source, self._bits)
        coder = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=False, write_checksum=False)
        payloads = {name: coder.compress(level.astype(np.uint8).tobytes()) for name, level in levels.items()}
        parts = map(with_length, payloads.values())
        bits = {name: 8 * len(payload) for name, payload in payloads.items()}
        return CodedImage(b"".join([varints(self._bits), _packed(header), *parts]), bits)

    def decode(self, data: bytes) -> ReceivedFeatures:
        """Raises `StreamError`."""
        reader = ByteReader(data)
        bits = reader.number()
        if not 1 <= bits <= _MOST_BITS:
            raise StreamError(f"stream: required 1 to {_MOST_BITS} bits a value, found {bits}")
        header = _unpacked(self._spec, reader)
        last = self._spec.names[-1]
        levels = {}
        for name, shape in header.shapes.items():
            payload = read_to_end(reader) if name == last else reader.take(reader.number())
            levels[name] = np.frombuffer(_decompressed(payload, name, shape), np.uint8).reshape(shape)
        return _dequantized(header, levels, bits)


class _VideoFeatures(ABC):
    """Implements `AnchorCoder`: 10 bits per value, channels tiled into one gray frame, coded as one picture of a video.

    Quality is the quantizer. The frame holds all levels in one stream, so bits cannot be attributed to levels.

    Other ways, as VVC of NanoDet-m's features, 16 training images of COCO at 3 rates, bytes for the same change in the
    heads' outputs: a frame for each level takes up to 5 % more, the less the higher the rate; channels in an order in
    which each resembles the one before, 0.4 to 0.9 % less; a range for each channel 10 to 18 % more, sent in two bytes,
    and 2 to 5 % less, fixed by training images, which is less than a transform saves.
    """

    name: str

    def __init__(self, spec: PyramidSpec, quality: int) -> None:
        self._spec, self._qp = spec, quality
        self.suffix = f".{self.name}"

    @property
    @abstractmethod
    def encoder(self) -> str:
        """The video coder and its settings. Raises `UserError` without it."""

    @abstractmethod
    def _stream(self, frame: Array, size: tuple[int, int]) -> bytes: ...

    @abstractmethod
    def _frame(self, stream: bytes, size: tuple[int, int]) -> Array: ...

    def encode(self, source: CoderInput) -> CodedImage:
        """Raises `PyramidError` as above, `UserError` without the video coder."""
        header, levels = _quantized(self._spec, source, _VIDEO_BITS)
        frame = tile([level.astype(np.uint16) for level in levels.values()], fill=2 ** (_VIDEO_BITS - 1))
        stream = self._stream(frame, (frame.shape[0], frame.shape[1]))
        return CodedImage(_packed(header) + with_length(stream))

    def decode(self, data: bytes) -> ReceivedFeatures:
        """Raises `StreamError`, and `UserError` without the video coder."""
        reader = ByteReader(data)
        header = _unpacked(self._spec, reader)
        shapes = list(header.shapes.values())
        frame = self._frame(read_to_end(reader), frame_size(shapes))
        return _dequantized(header, dict(zip(header.shapes, untile(frame, shapes), strict=True)), _VIDEO_BITS)


class HevcFeatures(_VideoFeatures):
    """With x265, through PyAV."""

    name = "features_hevc"

    @property
    def encoder(self) -> str:
        """x265 and its settings. Raises `UserError` without PyAV."""
        return f"{hevc.encoder_of(hevc.LEAST_SQUARES)}, {_GRAY}"

    def _stream(self, frame: Array, size: tuple[int, int]) -> bytes:
        return hevc.encode_frame(frame, size, _GRAY, self._qp, hevc.LEAST_SQUARES)

    def _frame(self, stream: bytes, size: tuple[int, int]) -> Array:
        return hevc.decode_frame(stream, size, _GRAY)


class VvcFeatures(_VideoFeatures):
    """With VVenC, through ffmpeg."""

    name = "features_vvc"

    @property
    def encoder(self) -> str:
        """VVenC and its settings. Raises `UserError` without ffmpeg."""
        return f"{vvc.encoder_of(vvc.FOR_FEATURES)}, {_GRAY}"

    def _stream(self, frame: Array, size: tuple[int, int]) -> bytes:
        return vvc.encode_frame(frame, size, _GRAY, self._qp, vvc.FOR_FEATURES)

    def _frame(self, stream: bytes, size: tuple[int, int]) -> Array:
        return vvc.decode_frame(stream, size, _GRAY)


def _quantized(spec: PyramidSpec, source: CoderInput, bits: int) -> tuple[_Header, dict[str, Array]]:
    spec.check(source.pyramid)
    values = {name: _one_image(name, level) for name, level in source.pyramid.items()}
    ranges = {name: (float(level.min()), float(level.max())) for name, level in values.items()}
    levels = {}
    for name, level in values.items():
        low, step = _scale(ranges[name], bits)
        levels[name] = np.rint((level - low) / (step or 1.0))
    shapes = {name: (level.shape[0], level.shape[1], level.shape[2]) for name, level in values.items()}
    return _Header(source.geometry, shapes, ranges), levels


def _dequantized(header: _Header, levels: Mapping[str, Array], bits: int) -> ReceivedFeatures:
    pyramid: dict[str, Tensor] = {}
    for name, level in levels.items():
        low, step = _scale(header.ranges[name], bits)
        pyramid[name] = torch.from_numpy((low + level * step).astype(np.float32))[None]
    return ReceivedFeatures(Pyramid(pyramid), header.geometry)


def _one_image(name: str, level: Tensor) -> Array:
    values: Array = level.detach().cpu().numpy()[0].astype(np.float64)
    if not np.isfinite(values).all():
        raise PyramidError(f"level {name}: required finite values, found NaN or infinity")
    return values


def _scale(value_range: tuple[float, float], bits: int) -> tuple[float, float]:
    """Lowest value and step."""
    low, high = value_range
    return low, (high - low) / (2**bits - 1)


def _packed(header: _Header) -> bytes:
    sizes = [side for _, height, width in header.shapes.values() for side in (height, width)]
    ranges = [_RANGE.pack(*bounds) for bounds in header.ranges.values()]
    return b"".join([geometry_bytes(header.geometry), varints(*sizes), *ranges])


def _unpacked(spec: PyramidSpec, reader: ByteReader) -> _Header:
    geometry = read_geometry(reader)
    shapes = {level.name: (level.channels, *read_size(reader)) for level in spec.levels}
    ranges = {name: _finite(name, _RANGE.unpack(reader.take(_RANGE.size))) for name in spec.names}
    return _Header(geometry, shapes, ranges)


def _finite(name: str, bounds: tuple[Any, ...]) -> tuple[float, float]:
    low, high = bounds
    if not (np.isfinite(bounds).all() and low <= high):
        raise StreamError(f"level {name}: required a lowest and a highest value, found {low:g} and {high:g}")
    return low, high


def _decompressed(payload: bytes, name: str, shape: Sequence[int]) -> bytes:
    """Exactly the level's values; memory is never allocated for what a broken stream claims to hold."""
    required = int(np.prod(shape))
    values = bytearray()
    try:
        for part in zstandard.ZstdDecompressor(max_window_size=_WINDOW).read_to_iter(payload):
            values += part
            if len(values) > required:
                break
    except zstandard.ZstdError as error:
        raise StreamError(f"level {name}: required Zstandard data, found something else ({error})") from error
    if len(values) != required:
        found = f"{len(values)} or more" if len(values) > required else str(len(values))
        raise StreamError(f"level {name}: required {required} values, found {found}")
    return bytes(values)
