"""JPEG XL through Pillow's plugin, which belongs to the extra `jxl`; it is imported only here, and only when needed."""

from __future__ import annotations

from importlib import metadata

from fpnkit.errors import StreamError, UserError

MISSING = 'JPEG XL: required pillow-jxl-plugin, found none; pip install "fpnkit[jxl]" installs it'
_SIGNATURE = b"\xff\x0a"  # of the bare codestream
_SIZE_BITS = (9, 13, 18, 30)
_MOST_PIXELS = 2**27  # of a picture; the decoder itself believes any size


def require_plugin() -> str:
    """Give Pillow the format; the plugin's name and version. Raises `UserError` without it."""
    try:
        import pillow_jxl
    except ImportError as error:
        raise UserError(MISSING) from error
    del pillow_jxl  # importing it was enough
    return f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}"


def require_plausible(data: bytes) -> None:
    """Raise `StreamError` for what is no bare codestream, or claims to be larger than a picture is."""
    if not data.startswith(_SIGNATURE):
        raise StreamError("jxl stream: required a whole picture, found something else")
    height, width = _size(data)
    if height * width > _MOST_PIXELS:
        raise StreamError(f"jxl stream: required at most {_MOST_PIXELS} pixels, found {height} x {width}")


def _size(data: bytes) -> tuple[int, int]:
    """The stream's first field: bits from the lowest of each byte on. Zeros stand for what is cut off."""
    bits = int.from_bytes(data[len(_SIGNATURE) : 16], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        return 8 * (take(5) + 1) if small else take(_SIZE_BITS[take(2)]) + 1

    small = take(1)
    height = side(small)
    ratio = take(3)
    over, under = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio]
    return height, height * over // under if ratio else side(small)
