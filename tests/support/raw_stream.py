"""`.fpn` files put together field by field from the table in `fpnkit.container`, whatever the fields say."""

import struct
import zlib
from dataclasses import dataclass, field

from fpnkit.container import StreamFile
from fpnkit.geometry import ImageGeometry

STREAM = StreamFile(
    codec="factorized",
    model_hash="0a1b2c3d",
    geometry=ImageGeometry(original=(480, 640), content=(240, 320), canvas=(320, 320), offset=(40, 0)),
    sizes=((40, 40), (20, 20), (10, 10)),
    payloads=(b"a" * 2928, b"b" * 880, b"c" * 824),
    symbols_crc=0xDEADBEEF,
)


def varint(number: int) -> bytes:
    groups = [number >> 7 * place & 127 for place in range(max(1, -(-number.bit_length() // 7)))]
    return bytes([group | 128 for group in groups[:-1]] + [groups[-1]])


def sealed(data: bytes) -> bytes:
    """With the checksum that makes it pass for undamaged."""
    return data + struct.pack("<I", zlib.crc32(data))


def resealed(data: bytes) -> bytes:
    return sealed(data[:-4])


@dataclass(frozen=True)
class Raw:
    """The fields of the file in their order; the defaults are those of `STREAM`."""

    magic: bytes = b"FPN"
    version: int = 1
    codec_and_levels: bytes = varint(16 * 1 + 3)
    model: bytes = b"\x0a\x1b\x2c\x3d"
    original: tuple[int, int] = (480, 640)
    content: tuple[int, int] = (240, 320)
    offset: tuple[int, int] = (40, 0)
    border: tuple[int, int] = (40, 0)
    levels: tuple[bytes, ...] = (b"\x03", b"\x04", b"\x05")
    lengths: tuple[int, ...] = (2928, 880)
    payloads: bytes = field(default=b"a" * 2928 + b"b" * 880 + b"c" * 824, repr=False)
    symbols_crc: int = 0xDEADBEEF

    def bytes(self) -> bytes:
        numbers = (*self.original, *self.content, *self.offset, *self.border)
        return sealed(
            self.magic
            + bytes([self.version])
            + self.codec_and_levels
            + self.model
            + b"".join(map(varint, numbers))
            + b"".join(self.levels)
            + b"".join(map(varint, self.lengths))
            + self.payloads
            + struct.pack("<I", self.symbols_crc)
        )
