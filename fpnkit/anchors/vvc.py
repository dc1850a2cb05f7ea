"""One frame as VVC by VVenC, through ffmpeg: intra, constant quantizer, ten bits, bytes without any container."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fpnkit.anchors.ffmpeg import FfmpegError, ffmpeg_version, run_ffmpeg
from fpnkit.errors import StreamError, UserError

# What is tuned for the eye is good for a detector too: for the same change in the outputs of NanoDet's heads 5 to 10 %
# fewer bytes, on 24 photographs at 2 rates, though the PSNR is lower. Without the loop filters or dependent
# quantization: no fewer.
FOR_PICTURES = "perceptqpa=1"
# For features. Measured on NanoDet's, 10 images at 2 rates: without the loop filters (deblocking, SAO, ALF), 1 % fewer
# bytes at a higher SNR (+0.03 to 0.09 dB in the finest level) and less change in the heads' outputs (3 to 6 %). Worse:
# neither dependent nor rate-distortion optimized quantization (+5 % bytes at the same SNR); no better: blocks of at
# most 64, and copies from within the frame, which take half as long again.
FOR_FEATURES = "alf=0:sao=0:loopfilterdisable=1:encdbopt=0"

Format = Literal["yuv420p10le", "gray10le"]
Frame = NDArray[np.uint16]  # planes below each other, as ffmpeg lays out the pixel format

# On photographs of 320 pixels, 1 s each: `fast`, 0.3 s, needs 3 to 6 % more bytes for 0.15 to 0.23 dB less.
_PRESET = "medium"
# qpa: see above. One group of one picture makes the parameters of the sequence 110 bytes shorter; without
# the delimiter the stream is 7 bytes shorter. The offset: a picture's quantizer is the one asked for.
_OPTIONS = ("-g", "1", "-qpa", "0", "-threads", "1")
_PARAMETERS = "accessunitdelimiter=0:intraqpoffset=0"
_CHROMA = {"yuv420p10le": "", "gray10le": "chromaformatidc=400"}
_Y4M = {"yuv420p10le": "420p10", "gray10le": "mono10"}
_SAMPLES = {"yuv420p10le": (3, 2), "gray10le": (1, 1)}  # of a frame, times its number of pixels
_FLAT = 512  # half of ten bits
_BORDER = 128  # ffmpeg counts a picture's pixels with what it adds to the sides
_MOST_SECONDS_TO_ENCODE, _MOST_SECONDS_TO_DECODE = 3600, 300  # so that a hang ends


def encoder_of(more: str = "") -> str:
    """Programs and settings that `encode_frame` uses. Raises `UserError` without ffmpeg or VVenC."""
    version = ffmpeg_version()
    settings = ":".join(filter(None, (_PARAMETERS, more)))
    return f"{version}, vvenc {_vvenc_version(version)} {_PRESET} {' '.join(_OPTIONS)} {settings}"


def encode_frame(frame: Frame, size: tuple[int, int], pixel_format: Format, qp: int, more: str = "") -> bytes:
    """`size` is (height, width), multiples of 8 from 16 on; `more` are further parameters of VVenC.

    Raises `UserError`: no ffmpeg, one without VVenC, or a frame that it refuses.
    """
    return _encoded(frame, size, pixel_format, qp, more, log="error")[0]


def decode_frame(data: bytes, size: tuple[int, int], pixel_format: Format) -> Frame:
    """The frame of a stream. Raises `StreamError` unless there is exactly one, of this size and format."""
    height, width = size
    source = ["-threads", "1", "-max_pixels", str((height + _BORDER) * (width + _BORDER)), "-f", "vvc", "-i", "pipe:0"]
    # Two frames are as bad as more. This container says what it holds; `-strict` lets it hold ten bits.
    target = ["-frames:v", "2", "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "-strict", "-1", "pipe:1"]
    try:
        found, _ = run_ffmpeg([*source, *target], data, _MOST_SECONDS_TO_DECODE, log="quiet")
    except FfmpegError:
        found = b""
    header, _, frames = found.partition(b"\nFRAME\n")
    times, over = _SAMPLES[pixel_format]
    samples = height * width * times // over
    expected = f"{height} x {width} {_Y4M[pixel_format]}"
    described = _described(header)
    if described != expected or len(frames) != 2 * samples:
        more = ", more than once" if described == expected else ""
        raise StreamError(f"VVC stream: required one frame {expected}, found {described}{more}")
    return np.frombuffer(frames, "<u2").astype(np.uint16).reshape(-1, width)


def _encoded(
    frame: Frame, size: tuple[int, int], pixel_format: Format, qp: int, more: str, log: str
) -> tuple[bytes, str]:
    """The stream and what ffmpeg says meanwhile."""
    height, width = size
    samples = frame.astype("<u2").ravel()
    if pixel_format == "gray10le":  # VVenC reads chroma, and leaves it out
        samples = np.concatenate([samples, np.full(height * width // 2, _FLAT, "<u2")])
    parameters = ":".join(filter(None, (_PARAMETERS, _CHROMA[pixel_format], more)))
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", f"{width}x{height}", "-i", "pipe:0"]
    coder = ["-c:v", "libvvenc", "-preset", _PRESET, "-qp", str(qp), *_OPTIONS, "-vvenc-params", parameters]
    arguments = [*source, *coder, "-f", "vvc", "pipe:1"]
    try:
        stream, said = run_ffmpeg(arguments, samples.tobytes(), _MOST_SECONDS_TO_ENCODE, log)
    except FfmpegError as error:
        if "Unknown encoder" in str(error):
            raise UserError(f"VVC: required ffmpeg with libvvenc, found {ffmpeg_version()} without it") from error
        raise UserError(f"VVC: required a frame that VVenC takes, found {height} x {width} ({error})") from error
    return stream, said


@lru_cache
def _vvenc_version(ffmpeg: str) -> str:
    """It is only told while something is encoded; `ffmpeg` is what may change in between."""
    _, said = _encoded(np.full((16, 16), _FLAT, np.uint16), (16, 16), "gray10le", 40, "", log="verbose")
    found = re.search(r"libvvenc version: (\S+)", said)
    return found[1] if found else "of an unknown version"


def _described(header: bytes) -> str:
    """What a file of the container `yuv4mpegpipe` says that it holds."""
    fields: dict[str, Any] = {field[:1]: field[1:] for field in header.decode("ascii", "replace").split()[1:]}
    return f"{fields['H']} x {fields['W']} {fields['C']}" if {"H", "W", "C"} <= fields.keys() else "none"
