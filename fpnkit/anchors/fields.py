"""What anchor files have in common: sizes, geometry, and a stream that must be complete."""

from __future__ import annotations

from fpnkit.container import MAX_SIDE, check_geometry
from fpnkit.errors import StreamError
from fpnkit.foundation.varints import ByteReader, varints
from fpnkit.geometry import ImageGeometry


def read_size(reader: ByteReader) -> tuple[int, int]:
    """(height, width), two varints. Raises `StreamError`."""
    size = reader.number(), reader.number()
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise StreamError(f"stream: required sides from 1 to {MAX_SIDE}, found {size[0]} x {size[1]}")
    return size


def with_length(data: bytes) -> bytes:
    """The data after its length as a varint, so that truncation is noticed."""
    return varints(len(data)) + data


def read_to_end(reader: ByteReader) -> bytes:
    """What `with_length` wrote last. Raises `StreamError` unless the file ends there."""
    data, after = reader.take(reader.number()), reader.rest()
    if after:
        raise StreamError(f"stream: required its end, found {len(after)} more bytes")
    return data


def geometry_bytes(place: ImageGeometry) -> bytes:
    """Original, content, canvas, offset: eight varints."""
    return varints(*place.original, *place.content, *place.canvas, *place.offset)


def read_geometry(reader: ByteReader) -> ImageGeometry:
    """Raises `StreamError`, also if the content would lie outside the canvas."""
    original, content, canvas = (read_size(reader) for _ in range(3))
    geometry = ImageGeometry(original, content, canvas, (reader.number(), reader.number()))
    check_geometry(geometry)
    return geometry
