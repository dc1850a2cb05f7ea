"""The `.fpn` file: one image's coded pyramid with all that its decoder needs to know about the image.

What is in it and in which order; varint: see `fpnkit.foundation.varints`; u32: 4 bytes, lowest first. Fields marked
with * are those of version 2 alone.

    bytes          what
    3              `FPN`
    1              version of this format: 1 or 2
    varint         16 * codec + number of levels (1 to 15); codecs: 1 factorized, 2 fused,
                   3 linear
    4              the model: the first bytes of the SHA-256 that `fpnkit.codecs.model_hash` defines
  * varint         quality: 0 where there is none, else 1 + thousandths
    varint * 2     height, width of the original image
    varint * 2     height, width of the content: the image as it was resized for the detector
    varint * 2     top, left: where the content lies in the canvas, the detector's input
    varint * 2     rows below, columns to the right of the content in the canvas
    per level      1 byte k where both sides of the level are those of the canvas over 2^k, rounded up, with the
                   smallest such k; else 1 byte 255 and two varints height, width
  * varint         number n of payloads; version 1 has one for each level, in the order of the levels, without a name
  * per payload    varint: the levels it serves, 0 for all of them, else the sum of 2^level; 1 byte length of its name,
                   and the name; 0 where it serves one level, whose name it has, or is the only payload
    varint * (n-1) bytes of every payload but the last
    …              payloads; the last ends where the next field begins
    u32            CRC-32 of the symbols: the whole numbers that the entropy coder carries, int32 lowest byte first,
                   payload after payload, each in the order channel, row, column
    u32            CRC-32 of all bytes before

There is exactly one file for given contents, and `read` accepts no other: `write(read(data)) == data`. What version 1
can hold is written as version 1. The names of the levels, their channels and what their numbers mean are the model's
business, not the file's.

All sizes are checked before anything is made of them, and `read` copies nothing but slices of the file. It raises
`StreamError` only. Levels are held to the canvas here, and to the model's strides and tables by the codec.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fpnkit.errors import StreamError
from fpnkit.foundation.varints import ByteReader, varints
from fpnkit.geometry import ImageGeometry

MAGIC = b"FPN"
VERSION = 2
SUFFIX = ".fpn"
CODECS = {1: "factorized", 2: "fused", 3: "linear"}
SHARED = "shared"
QUALITY_STEPS = 1000  # of a quality of 1: finer ones cannot be written
MAX_QUALITY = 1000
MAX_LEVELS = 15
MAX_PAYLOADS = 255
MAX_SIDE = 65535  # pixels, of images and canvas
MAX_AREA = 2**26  # pixels of the canvas, 8192 x 8192
MAX_FILE_BYTES = 2**30

_MAX_PAYLOAD_BYTES = MAX_FILE_BYTES - 1024
_START_BYTES = len(MAGIC) + 1
_U32 = struct.Struct("<I")
_SMALLEST = _START_BYTES + 1 + 4 + 8 + 1 + 2 * _U32.size  # one level without payload
_EXPLICIT = 255  # in place of a level's exponent
_VERSION_1_CODECS = ("factorized",)
_MAX_NAME = 32
_NAME = re.compile(rf"[a-z0-9_]{{0,{_MAX_NAME}}}")

Size = tuple[int, int]  # (height, width)
Bits = TypeVar("Bits", int, float)


@dataclass(frozen=True)
class FilePayload:
    """A part of the stream, and the levels that need it."""

    data: bytes
    levels: tuple[int, ...]  # positions, ascending
    name: str = ""  # none: it serves one level, whose name it has, or it is the only one


def of_each_level(*payloads: bytes) -> tuple[FilePayload, ...]:
    """One payload per level in order, which is all that version 1 supports."""
    return tuple(FilePayload(data, (position,)) for position, data in enumerate(payloads))


@dataclass(frozen=True)
class StreamFile:
    """A `.fpn` file taken apart."""

    codec: str
    model_hash: str  # 8 hex digits
    geometry: ImageGeometry
    sizes: tuple[Size, ...]  # of the levels, in the codec's order
    payloads: tuple[FilePayload, ...]
    symbols_crc: int
    quality: float | None = None

    @property
    def payload_bytes(self) -> int:
        """Of all payloads together."""
        return sum(len(payload.data) for payload in self.payloads)

    @property
    def header_bytes(self) -> int:
        """Bytes of the file that are not payload."""
        return len(write(self)) - self.payload_bytes


def write(stream: StreamFile) -> bytes:
    """The bytes of the file. Raises `StreamError` for contents that `read` would refuse."""
    _check(stream)
    geometry, levels, version = stream.geometry, len(stream.sizes), _version(stream)
    codec = next(number for number, name in CODECS.items() if name == stream.codec)
    (top, left), (height, width) = geometry.offset, geometry.content
    below, right = geometry.canvas[0] - top - height, geometry.canvas[1] - left - width
    parts = [
        MAGIC,
        bytes([version]),
        varints(codec << 4 | levels),
        bytes.fromhex(stream.model_hash),
        _quality(stream.quality) if version == 2 else b"",
        varints(*geometry.original, *geometry.content, *geometry.offset, below, right),
        *(_level(geometry.canvas, size) for size in stream.sizes),
        _about_payloads(stream.payloads, levels) if version == 2 else b"",
        varints(*(len(payload.data) for payload in stream.payloads[:-1])),
        *(payload.data for payload in stream.payloads),
        _U32.pack(stream.symbols_crc),
    ]
    data = b"".join(parts)
    return data + _U32.pack(zlib.crc32(data))


def read(data: bytes) -> StreamFile:
    """The inverse of `write`. Raises `StreamError`: empty, foreign, newer, damaged, or contents that cannot be."""
    version = _check_whole(data)
    reader = ByteReader(data[_START_BYTES : -2 * _U32.size])
    codec, levels = divmod(reader.number(), 16)
    if codec not in CODECS:
        raise StreamError(f"codec: required one of {_known()}, found number {codec}; was it written by a newer fpnkit?")
    _check_levels(levels)
    model_hash = reader.take(4).hex()
    quality = _read_quality(reader) if version == 2 else None
    original, content, offset, border = ((reader.number(), reader.number()) for _ in range(4))
    canvas = (offset[0] + content[0] + border[0], offset[1] + content[1] + border[1])
    sizes = tuple(_read_level(reader, canvas, number) for number in range(levels))
    about = _read_about_payloads(reader, levels) if version == 2 else [((i,), "") for i in range(levels)]
    lengths = [reader.number() for _ in about[1:]]
    parts = (*(reader.take(length) for length in lengths), reader.rest())
    payloads = tuple(FilePayload(data, *each) for data, each in zip(parts, about, strict=True))
    (symbols_crc,) = _U32.unpack_from(data, len(data) - 2 * _U32.size)
    geometry = ImageGeometry(original, content, canvas, offset)
    stream = StreamFile(CODECS[codec], model_hash, geometry, sizes, payloads, symbols_crc, quality)
    _check(stream)
    required = _version(stream)
    _require(version == required, f"version: required {required} for what the file holds, found {version}")
    return stream


def attributed(payloads: Iterable[tuple[Sequence[str], Bits]]) -> dict[str, Bits]:
    """(levels that a payload serves, its bits) → bits by level.

    A level gets the bits of payloads that serve it alone. Bits of payloads that serve several levels are `shared`.
    """
    bits: dict[str, Bits] = {}
    for levels, count in payloads:
        name = levels[0] if len(levels) == 1 else SHARED
        bits[name] = bits[name] + count if name in bits else count
    return bits


def read_file(path: Path) -> StreamFile:
    """`read` a file, without reading all of one that is not a stream. Raises `StreamError` that names the file."""
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
    """Prefix errors with the file's name."""
    try:
        yield
    except StreamError as error:
        raise StreamError(f"{path}: {error}") from error


def exponent(canvas: Size, size: Size) -> int | None:
    """The smallest k for which a level has the canvas's sides over 2^k, rounded up; None if there is none."""
    return next((k for k in range(17) if _halved(canvas, k) == size), None)


def _version(stream: StreamFile) -> int:
    """The lowest version that can represent the stream."""
    plain = stream.payloads == of_each_level(*(payload.data for payload in stream.payloads))
    one_each = plain and len(stream.payloads) == len(stream.sizes)
    return 1 if one_each and stream.quality is None and stream.codec in _VERSION_1_CODECS else 2


def _check_whole(data: bytes) -> int:
    """The version of an intact stream."""
    _require(len(data) > 0, "stream: required a coded pyramid, found an empty file")
    start = data[: len(MAGIC)]
    _require(MAGIC.startswith(start), f"start: required the bytes {MAGIC!r} of a coded pyramid, found {start!r}")
    if len(data) >= _START_BYTES:
        version = data[len(MAGIC)]
        hint = "; it was written by a newer fpnkit" if version > VERSION else ""
        _require(1 <= version <= VERSION, f"version: required 1 to {VERSION}, found {version}{hint}")
    cut = f"stream: required at least {_SMALLEST} bytes, found {len(data)}; the file is cut off"
    _require(len(data) >= _SMALLEST, cut)
    expected = zlib.crc32(memoryview(data)[: -_U32.size])
    (found,) = _U32.unpack_from(data, len(data) - _U32.size)
    _require(
        found == expected,
        f"checksum: required {expected:08x} for these {len(data)} bytes, found {found:08x}; "
        "the file is damaged, cut off, or has something at its end",
    )
    return version


def _check(stream: StreamFile) -> None:
    """Check that such a stream is possible."""
    _require(stream.codec in CODECS.values(), f"codec: required one of {_known()}, found {stream.codec}")
    count = len(stream.sizes)
    _check_levels(count)
    check_geometry(stream.geometry)
    _check_quality(stream.quality)
    _check_payloads(stream.payloads, count)
    rows, columns = stream.geometry.canvas
    for number, (height, width) in enumerate(stream.sizes):
        _require(
            1 <= height <= rows and 1 <= width <= columns,
            f"level {number}: required 1 x 1 to the canvas's {rows} x {columns}, found {height} x {width}",
        )
    total = stream.payload_bytes
    _require(total <= _MAX_PAYLOAD_BYTES, f"payloads: required at most {_MAX_PAYLOAD_BYTES} bytes, found {total}")


def _check_levels(count: int) -> None:
    _require(1 <= count <= MAX_LEVELS, f"levels: required 1 to {MAX_LEVELS}, found {count}")


def _check_quality(quality: float | None) -> None:
    if quality is not None:
        fits = 0 <= quality <= MAX_QUALITY and round(quality * QUALITY_STEPS) / QUALITY_STEPS == quality
        _require(fits, f"quality: required 0 to {MAX_QUALITY} in steps of {1 / QUALITY_STEPS:g}, found {quality}")


def _check_payloads(payloads: Sequence[FilePayload], levels: int) -> None:
    count = len(payloads)
    known: set[object] = set()
    _require(1 <= count <= MAX_PAYLOADS, f"payloads: required 1 to {MAX_PAYLOADS}, found {count}")
    for number, payload in enumerate(payloads):
        served = ", ".join(map(str, payload.levels)) or "none"
        fits = payload.levels == tuple(i for i in range(levels) if i in payload.levels) != ()
        _require(fits, f"payload {number}: required levels from 0 to {levels - 1} in their order, found {served}")
        _require(
            _NAME.fullmatch(payload.name) is not None
            and (payload.name != "" or len(payload.levels) == 1 or count == 1),
            f"payload {number}: required a name of a to z, 0 to 9 and _, at most {_MAX_NAME}, or none for one level "
            f"or the only payload; found {payload.name!r} for {served}",
        )
        key = payload.name or payload.levels
        _require(key not in known, f"payload {number}: required another name or level than those before, found {key}")
        known.add(key)


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


def _quality(quality: float | None) -> bytes:
    return varints(0 if quality is None else 1 + round(quality * QUALITY_STEPS))


def _read_quality(reader: ByteReader) -> float | None:
    number = reader.number()
    return None if number == 0 else (number - 1) / QUALITY_STEPS


def _about_payloads(payloads: Sequence[FilePayload], levels: int) -> bytes:
    parts = [varints(len(payloads))]
    for payload in payloads:
        served = 0 if len(payload.levels) == levels else sum(2**level for level in payload.levels)
        parts += [varints(served), bytes([len(payload.name)]), payload.name.encode("ascii")]
    return b"".join(parts)


def _read_about_payloads(reader: ByteReader, levels: int) -> list[tuple[tuple[int, ...], str]]:
    """Levels and name of each."""
    count, result = reader.number(), []
    _require(1 <= count <= MAX_PAYLOADS, f"payloads: required 1 to {MAX_PAYLOADS}, found {count}")
    for number in range(count):
        served, everything = reader.number(), 2**levels - 1
        found = f"payload {number}: required levels as a number below {everything}, 0 for all, found {served}"
        _require(served < everything, found)
        (length,) = reader.take(1)
        _require(length <= _MAX_NAME, f"payload {number}: required a name of at most {_MAX_NAME} bytes, found {length}")
        name = reader.take(length).decode("ascii", "replace")
        result.append((tuple(i for i in range(levels) if (served or everything) >> i & 1), name))
    return result


def _level(canvas: Size, size: Size) -> bytes:
    """One byte if the size is that of strided convolutions, as it nearly always is."""
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
