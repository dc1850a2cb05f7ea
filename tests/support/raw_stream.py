"""`.fpn` files put together field by field from the table in `fpnkit.container`, whatever the fields say."""

import struct
import zlib
from dataclasses import dataclass, field, replace

from fpnkit.container import FilePayload, StreamFile, of_each_level
from fpnkit.geometry import ImageGeometry

STREAM = StreamFile(
    codec="factorized",
    model_hash="0a1b2c3d",
    geometry=ImageGeometry(original=(480, 640), content=(240, 320), canvas=(320, 320), offset=(40, 0)),
    sizes=((40, 40), (20, 20), (10, 10)),
    payloads=of_each_level(b"a" * 2928, b"b" * 880, b"c" * 824),
    symbols_crc=0xDEADBEEF,
)
SHARED = replace(
    STREAM,
    payloads=(
        FilePayload(b"a" * 2928, (0, 1, 2), "y"),
        FilePayload(b"b" * 880, (0, 2), "z2"),
        FilePayload(b"c" * 824, (1,)),
    ),
    quality=2.5,
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
    """The fields of the file in their order; the defaults are those of `STREAM`, of version 2 those of `SHARED`."""

    magic: bytes = b"FPN"
    version: int = 1
    codec_and_levels: bytes = varint(16 * 1 + 3)
    model: bytes = b"\x0a\x1b\x2c\x3d"
    quality: bytes = varint(2501)  # of version 2
    original: tuple[int, int] = (480, 640)
    content: tuple[int, int] = (240, 320)
    offset: tuple[int, int] = (40, 0)
    border: tuple[int, int] = (40, 0)
    levels: tuple[bytes, ...] = (b"\x03", b"\x04", b"\x05")
    about: bytes = b"\x03" + b"\x00\x01y" + b"\x05\x02z2" + b"\x02\x00"  # number of payloads, levels and names
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
            + (self.quality if self.version == 2 else b"")
            + b"".join(map(varint, numbers))
            + b"".join(self.levels)
            + (self.about if self.version == 2 else b"")
            + b"".join(map(varint, self.lengths))
            + self.payloads
            + struct.pack("<I", self.symbols_crc)
        )
