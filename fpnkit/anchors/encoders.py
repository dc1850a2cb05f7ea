"""Whether the encoders of anchors work on this machine, found out without torch."""

from __future__ import annotations

import io
from typing import Literal

from fpnkit.errors import UserError


def require_pillow(codec: str) -> None:
    """Raise `UserError` unless Pillow can write this format, which depends on how it was built."""
    import PIL
    from PIL import Image

    try:
        Image.new("RGB", (16, 16)).save(io.BytesIO(), codec)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{codec}: required Pillow with {codec}, found Pillow {PIL.__version__} without it") from error


def require_hevc(pixel_format: str) -> None:
    """Raise `UserError` unless x265 takes a frame of this format: no PyAV, or one that was built otherwise."""
    import numpy as np

    from fpnkit.anchors.hevc import encode_frame, padded_side

    side = padded_side(1)
    rows = side * 3 // 2 if pixel_format == "yuv420p" else side
    frame = np.zeros((rows, side), np.uint8 if pixel_format == "yuv420p" else np.uint16)
    encode_frame(frame, (side, side), pixel_format, 30)


def require_vvc(pixel_format: Literal["yuv420p10le", "gray10le"]) -> None:
    """Raise `UserError` unless VVenC takes a frame of this format: no ffmpeg, or one that was built otherwise."""
    import numpy as np

    from fpnkit.anchors.vvc import encode_frame

    rows = 24 if pixel_format == "yuv420p10le" else 16
    encode_frame(np.zeros((rows, 16), np.uint16), (16, 16), pixel_format, 30)


def require_jxl() -> None:
    """Raise `UserError` without Pillow's plugin for JPEG XL."""
    from fpnkit.anchors.jxl import require_plugin

    require_plugin()
