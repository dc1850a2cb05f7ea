"""JPEG XL through Pillow's plugin, which belongs to the extra `jxl`; it is imported only here, and only when needed."""

from __future__ import annotations

from importlib import metadata

from fpnkit.errors import StreamError, UserError

MISSING = 'JPEG XL: required pillow-jxl-plugin, found none; pip install "fpnkit[jxl]" installs it'
_SIGNATURE = b"\xff\x0a"  # of the bare codestream
_SIZE_BITS = (9, 13, 18, 30)
_MOST_HEADER_BYTES = 32
_MOST_PIXELS = 2**27  # of a picture; the decoder itself believes any size
_NO_THREADS = 0


def require_plugin() -> str:
    """Give Pillow the format; the plugin's name and version. Raises `UserError` without it."""
    try:
        from pillow_jxl import JpegXLImagePlugin
    except ImportError as error:
        raise UserError(MISSING) from error
    JpegXLImagePlugin.DECODE_THREADS = _NO_THREADS  # as the others decode; by default it takes all cores
    return f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}"


def require_plausible(data: bytes) -> None:
    """Raise `StreamError` for what is no bare codestream, or claims to be larger or to hold more than a picture does.

    The plugin shows one frame of an animation, and says that there is no other.
    """
    if not data.startswith(_SIGNATURE):
        raise StreamError("jxl stream: required a whole picture, found something else")
    header = _Bits(data[len(_SIGNATURE) : _MOST_HEADER_BYTES])
    height, width = header.size()
    if height * width > _MOST_PIXELS:
        raise StreamError(f"jxl stream: required at most {_MOST_PIXELS} pixels, found {height} x {width}")
    if more := header.more_than_a_picture():
        raise StreamError(f"jxl stream: required one frame, found {more}")


class _Bits:
    """The first fields of a codestream (ISO/IEC 18181-1, SizeHeader and ImageMetadata): bits from the lowest of each
    byte on. Zeros stand for what is cut off.
    """

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")

    def size(self) -> tuple[int, int]:
        """(height, width)."""
        small = self._take(1)
        height = self._side(small)
        ratio = self._take(3)
        over, under = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio]
        return height, height * over // under if ratio else self._side(small)

    def more_than_a_picture(self) -> str | None:
        """After `size`."""
        all_default = self._take(1)
        if all_default or not self._take(1):  # without further fields
            return None
        self._take(3)  # orientation
        if self._take(1):
            self.size()  # in which it is to be shown
        preview, animation = self._take(1), self._take(1)
        return "a preview" if preview else "an animation" if animation else None

    def _side(self, small: int) -> int:
        return 8 * (self._take(5) + 1) if small else self._take(_SIZE_BITS[self._take(2)]) + 1

    def _take(self, count: int) -> int:
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        return value
