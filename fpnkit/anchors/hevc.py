"""One frame as HEVC by x265, through PyAV: intra, constant quantizer, Annex-B bytes without any container.

PyAV belongs to the extra `hevc`; it is imported only here, and only when needed.
"""

from __future__ import annotations

from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpnkit.errors import StreamError, UserError

MISSING = 'HEVC: required PyAV, found none; pip install "fpnkit[hevc]" installs it'
_ENCODER = "libx265"
_LEAST_SIDE, _MULTIPLE = 16, 8  # x265's smallest picture and smallest block
# info: no text about the encoder in the stream. One thread: the same bytes however many cores there are.
_SETTINGS = "keyint=1:bframes=0:rc-lookahead=0:ipratio=1:info=0:log-level=none:pools=none:frame-threads=1:no-wpp=1"
_PRESET = "slow"
# Tuned for features, not for the eye. Measured on NanoDet's features: rate-distortion optimized quantization and the
# loop filters, which take small coefficients for noise, cost about 1 point of AP at the same rate.
LEAST_SQUARES = "psy-rd=0:psy-rdoq=0:aq-mode=0:rdoq-level=0:no-sao=1:no-deblock=1"

Frame = NDArray[Any]  # uint8, or uint16 for ten bits, as PyAV lays out the pixel format: planes below each other


def has_av() -> bool:
    """Whether PyAV can be imported."""
    try:
        _av()
    except UserError:
        return False
    return True


def encoder_of(more: str = "") -> str:
    """Libraries and settings that `encode_frame` uses. PyAV ships x265, so its version stands for x265's.

    Raises `UserError` without PyAV.
    """
    av = _av()
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {codec}, x265 {_PRESET} {_SETTINGS}{more and ':' + more}"


def padded_side(side: int) -> int:
    """Height or width of the frame for a picture of this side; x265 would pad it to the same."""
    return max(_LEAST_SIDE, -(-side // _MULTIPLE) * _MULTIPLE)


def encode_frame(frame: Frame, size: tuple[int, int], pixel_format: str, qp: int, more: str = "") -> bytes:
    """`size` is (height, width), both as `padded_side` gives them; `more` are further x265 settings.

    Raises `UserError`: no PyAV, one without x265, or a frame that x265 refuses.
    """
    av = _av()
    try:
        context = av.CodecContext.create(_ENCODER, "w")
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f"HEVC: required PyAV with x265, found PyAV {av.__version__} without it") from error
    try:
        context.height, context.width = size
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 25)
        context.options = {"preset": _PRESET, "x265-params": f"qp={qp}:{_SETTINGS}:{more}"}
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=pixel_format)
        return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f"HEVC: required a frame that x265 takes, found {size[0]} x {size[1]} ({error})") from error


def decode_frame(data: bytes, size: tuple[int, int], pixel_format: str) -> Frame:
    """The frame of a stream. Raises `StreamError` unless there is exactly one, of this size and format."""
    av = _av()
    try:
        context = av.CodecContext.create("hevc", "r")
        context.thread_count = 1
        packets = [*context.parse(data), *context.parse(b"")]
        frames = [frame for packet in [*packets, None] for frame in context.decode(packet)]
    except (av.FFmpegError, ValueError) as error:
        raise StreamError(f"HEVC stream: required one frame, found bytes that are no HEVC ({error})") from error
    found = [f"{frame.height} x {frame.width} {frame.format.name}" for frame in frames]
    required = f"{size[0]} x {size[1]} {pixel_format}"
    if found != [required]:
        raise StreamError(f"HEVC stream: required one frame {required}, found {', '.join(found) or 'none'}")
    frame: Frame = frames[0].to_ndarray()
    return frame


def _av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise UserError(MISSING) from error
    return av
