"""The `.fpn` file: one image's coded pyramid with all that its decoder needs to know about the image.

What is in it and in which order; varint: see `fpnkit.foundation.varints`; u32: 4 bytes, lowest first.

    bytes          what
    3              `FPN`
    1              version of this format: 1
    varint         16 * codec + number of levels (1 to 15); codecs: 1 factorized
    4              the model: the first bytes of the SHA-256 that `fpnkit.codecs.model_hash` defines
    varint * 2     height, width of the original image
    varint * 2     height, width of the content: the image as it was resized for the detector
    varint * 2     top, left: where the content lies in the canvas, the detector's input
    varint * 2     rows below, columns to the right of the content in the canvas
    per level      1 byte k where both sides of the level are those of the canvas over 2^k, rounded up, with the
                   smallest such k; else 1 byte 255 and two varints height, width
    varint * (n-1) payload bytes of every level but the last
    …              payloads, level after level; the last ends where the next field begins
    u32            CRC-32 of the symbols: the whole numbers that the entropy coder carries, int32 lowest byte first,
                   level after level, each in the order channel, row, column
    u32            CRC-32 of all bytes before

There is exactly one file for given contents, and `read` takes no other: `write(read(data)) == data`. The names of the
levels, their channels and what their numbers mean are the model's business, not the file's.

All sizes are checked before anything is made of them, and `read` copies nothing but slices of the file. It raises
`StreamError` only. Levels are held to the canvas here, and to the model's strides and tables by the codec.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fpnkit.errors import StreamError
from fpnkit.foundation.varints import ByteReader, varints
from fpnkit.geometry import ImageGeometry

MAGIC = b"FPN"
VERSION = 1
SUFFIX = ".fpn"
CODECS = {1: "factorized"}
MAX_LEVELS = 15
MAX_SIDE = 65535  # pixels, of images and canvas
MAX_AREA = 2**26  # pixels of the canvas, 8192 x 8192
MAX_FILE_BYTES = 2**30

_MAX_PAYLOADS = MAX_FILE_BYTES - 1024
_START_BYTES = len(MAGIC) + 1
_U32 = struct.Struct("<I")
_SMALLEST = _START_BYTES + 1 + 4 + 8 + 1 + 2 * _U32.size  # one level without payload
_EXPLICIT = 255  # in place of a level's exponent

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class StreamFile:
    """A `.fpn` file taken apart."""

    codec: str
    model_hash: str  # 8 hex digits
    geometry: ImageGeometry
    sizes: tuple[Size, ...]  # of the levels, in the codec's order
    payloads: tuple[bytes, ...]
    symbols_crc: int

    @property
    def header_bytes(self) -> int:
        """All of the file that is no payload."""
        return len(write(self)) - sum(map(len, self.payloads))


def write(stream: StreamFile) -> bytes:
    """The bytes of the file. Raises `StreamError` for contents that `read` would refuse."""
    _check(stream)
    geometry, levels = stream.geometry, len(stream.sizes)
    codec = next(number for number, name in CODECS.items() if name == stream.codec)
    (top, left), (height, width) = geometry.offset, geometry.content
    below, right = geometry.canvas[0] - top - height, geometry.canvas[1] - left - width
    parts = [
        MAGIC,
        bytes([VERSION]),
        varints(codec << 4 | levels),
        bytes.fromhex(stream.model_hash),
        varints(*geometry.original, *geometry.content, *geometry.offset, below, right),
        *(_level(geometry.canvas, size) for size in stream.sizes),
        varints(*map(len, stream.payloads[:-1])),
        *stream.payloads,
        _U32.pack(stream.symbols_crc),
    ]
    data = b"".join(parts)
    return data + _U32.pack(zlib.crc32(data))


def read(data: bytes) -> StreamFile:
    """The inverse of `write`. Raises `StreamError`: empty, foreign, newer, damaged, or contents that cannot be."""
    _check_whole(data)
    reader = ByteReader(data[_START_BYTES : -2 * _U32.size])
    codec, levels = divmod(reader.number(), 16)
    if codec not in CODECS:
        raise StreamError(f"codec: required one of {_known()}, found number {codec}; was it written by a newer fpnkit?")
    model_hash = reader.take(4).hex()
    original, content, offset, border = ((reader.number(), reader.number()) for _ in range(4))
    canvas = (offset[0] + content[0] + border[0], offset[1] + content[1] + border[1])
    sizes = tuple(_read_level(reader, canvas, number) for number in range(levels))
    lengths = [reader.number() for _ in range(levels - 1)]
    payloads = (*(reader.take(length) for length in lengths), reader.rest())
    (symbols_crc,) = _U32.unpack_from(data, len(data) - 2 * _U32.size)
    geometry = ImageGeometry(original, content, canvas, offset)
    stream = StreamFile(CODECS[codec], model_hash, geometry, sizes, payloads, symbols_crc)
    _check(stream)
    return stream


def read_file(path: Path) -> StreamFile:
    """`read` of a file; what is not a stream is not read whole. Raises `StreamError` that names the file."""
    with naming(path):
        _require(path.is_file(), f"required a coded pyramid, found {'no file' if path.exists() else 'nothing'}")
        try:
            size = path.stat().st_size
            _require(size <= MAX_FILE_BYTES, f"size: required at most {MAX_FILE_BYTES} bytes, found {size}")
            data = path.read_bytes()
        except OSError as error:
            raise StreamError(f"cannot be read: {error.strerror}") from error
        return read(data)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before whatever is wrong with it."""
    try:
        yield
    except StreamError as error:
        raise StreamError(f"{path}: {error}") from error


def exponent(canvas: Size, size: Size) -> int | None:
    """The smallest k for which a level has the canvas's sides over 2^k, rounded up; None if there is none."""
    return next((k for k in range(17) if _halved(canvas, k) == size), None)


def _check_whole(data: bytes) -> None:
    """Whether it is a stream of this version with every bit in its place."""
    _require(len(data) > 0, "stream: required a coded pyramid, found an empty file")
    start = data[: len(MAGIC)]
    _require(MAGIC.startswith(start), f"start: required the bytes {MAGIC!r} of a coded pyramid, found {start!r}")
    if len(data) >= _START_BYTES:
        version = data[len(MAGIC)]
        hint = "; it was written by a newer fpnkit" if version > VERSION else ""
        _require(version == VERSION, f"version: required {VERSION}, found {version}{hint}")
    cut = f"stream: required at least {_SMALLEST} bytes, found {len(data)}; the file is cut off"
    _require(len(data) >= _SMALLEST, cut)
    expected = zlib.crc32(memoryview(data)[: -_U32.size])
    (found,) = _U32.unpack_from(data, len(data) - _U32.size)
    _require(
        found == expected,
        f"checksum: required {expected:08x} for these {len(data)} bytes, found {found:08x}; "
        "the file is damaged, cut off, or has something at its end",
    )


def _check(stream: StreamFile) -> None:
    """Whether such a stream can be."""
    _require(stream.codec in CODECS.values(), f"codec: required one of {_known()}, found {stream.codec}")
    count = len(stream.sizes)
    _require(1 <= count <= MAX_LEVELS, f"levels: required 1 to {MAX_LEVELS}, found {count}")
    payloads = len(stream.payloads)
    _require(payloads == count, f"payloads: required one for each of {count} levels, found {payloads}")
    check_geometry(stream.geometry)
    rows, columns = stream.geometry.canvas
    for number, (height, width) in enumerate(stream.sizes):
        _require(
            1 <= height <= rows and 1 <= width <= columns,
            f"level {number}: required 1 x 1 to the canvas's {rows} x {columns}, found {height} x {width}",
        )
    total = sum(map(len, stream.payloads))
    _require(total <= _MAX_PAYLOADS, f"payloads: required at most {_MAX_PAYLOADS} bytes, found {total}")


def check_geometry(geometry: ImageGeometry) -> None:
    """Raise `StreamError` unless a file can hold it and the content lies inside the canvas."""
    for what in ("original", "content", "canvas"):
        height, width = getattr(geometry, what)
        fits = 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE
        _require(fits, f"{what}: required sides from 1 to {MAX_SIDE}, found {height} x {width}")
    (rows, columns), (height, width), (top, left) = geometry.canvas, geometry.content, geometry.offset
    _require(rows * columns <= MAX_AREA, f"canvas: required at most {MAX_AREA} pixels, found {rows} x {columns}")
    _require(
        0 <= top <= rows - height and 0 <= left <= columns - width,
        f"content: required inside the canvas of {rows} x {columns}, found {height} x {width} at {top}, {left}",
    )


def _level(canvas: Size, size: Size) -> bytes:
    """One byte where the sizes are those of strided convolutions, as they nearly always are."""
    halvings = exponent(canvas, size)
    return bytes([_EXPLICIT]) + varints(*size) if halvings is None else bytes([halvings])


def _halved(canvas: Size, exponent: int) -> Size:
    return -(-canvas[0] >> exponent), -(-canvas[1] >> exponent)


def _read_level(reader: ByteReader, canvas: Size, number: int) -> Size:
    (form,) = reader.take(1)
    if form == _EXPLICIT:
        size = reader.number(), reader.number()
    else:
        _require(form <= 16, f"level {number}: required an exponent from 0 to 16 or {_EXPLICIT}, found {form}")
        size = _halved(canvas, form)
    shortest = exponent(canvas, size)
    required = _EXPLICIT if shortest is None else shortest
    _require(form == required, f"level {number}: required its size in the shortest form, {required}; found {form}")
    return size


def _known() -> str:
    return ", ".join(f"{name} ({number})" for number, name in CODECS.items())


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise StreamError(problem)
