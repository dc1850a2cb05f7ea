"""Runs the ffmpeg of the wheel `imageio-ffmpeg`: bytes in, bytes out, through pipes.

The wheel belongs to the extra `vvc`; it is imported only here, and only when needed.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

from fpnkit.errors import UserError

MISSING = 'VVC: required imageio-ffmpeg, found none; pip install "fpnkit[vvc]" installs it'
_SECONDS_FOR_THE_VERSION = 60


class FfmpegError(Exception):
    """Why ffmpeg gave nothing, in its own words."""


def ffmpeg_version() -> str:
    """Of the wheel and of the program, which may be another one: a variable of the environment can name it.

    Raises `UserError` without them.
    """
    return f"imageio-ffmpeg {_wheel().__version__}, ffmpeg {_version(_program())}"


def run_ffmpeg(arguments: Sequence[str], data: bytes, seconds: float, log: str = "error") -> tuple[bytes, str]:
    """What it writes to `pipe:1` and what it says, for `data` at `pipe:0`.

    It is killed after that many seconds. It reads no terminal, nor does its key for interruption reach it: an
    interrupted caller kills it. Raises `UserError` without ffmpeg, `FfmpegError` if it fails.
    """
    command = [_program(), "-hide_banner", "-nostdin", "-v", log, *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, start_new_session=True)
    except subprocess.TimeoutExpired as error:
        raise FfmpegError(f"nothing after {seconds:g} s") from error
    except OSError as error:
        raise UserError(f"VVC: required an ffmpeg that runs, found {command[0]} ({error.strerror})") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        reason = re.sub(r"^\[[^]]*\] ", "", said.partition("\n")[0])  # without the place in ffmpeg that says it
        raise FfmpegError(reason or f"exit code {done.returncode}")
    return done.stdout, said


def _program() -> str:
    try:
        program: str = _wheel().get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError("VVC: required the ffmpeg of imageio-ffmpeg, found a wheel without one") from error
    return program


@lru_cache
def _version(program: str) -> str:
    try:
        said = subprocess.run(
            [program, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS_FOR_THE_VERSION
        ).stdout.split()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"VVC: required an ffmpeg that runs, found {program}") from error
    return said[2].decode(errors="replace") if said[:2] == [b"ffmpeg", b"version"] else "of an unknown version"


def _wheel() -> ModuleType:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UserError(MISSING) from error
    module: ModuleType = imageio_ffmpeg
    return module
