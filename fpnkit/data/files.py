"""Read image files as RGB, and find broken ones before anything long starts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fpnkit.container import MAX_AREA
from fpnkit.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = "FPNKIT_MAX_PIXELS"  # in the environment: lifts the limit on what is decoded
_MAX_PIXELS = MAX_AREA
# Others are not for pictures, and of one of them Pillow has a program (Ghostscript) run what the file says.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
_PILLOW = threading.Lock()  # on its settings, which all threads share
_ORIENTATION = 0x0112  # Exif tag; 5 to 8 exchange height and width
_SHOWN = 200  # characters of a file's name


def read_rgb(path: Path, upright: bool) -> Tensor:
    """The image as uint8 (3, height, width).

    Gray and palette images become RGB, 16 bits are cut to 8, transparency is dropped. `upright` turns the pixels the
    way the Exif orientation says; without it they stay as they are stored, which is what COCO boxes refer to.
    Raises `DataError` with the path and what is wrong.
    """
    try:
        with _opened(path) as file:
            image = _as_rgb(ImageOps.exif_transpose(file) if upright else file)
    except Exception as error:  # Pillow's decoders raise almost anything on garbage
        raise DataError(f"{path}: {_reason(error)}") from error
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def read_size(path: Path, upright: bool) -> tuple[int, int]:
    """(height, width) from the file's header. Raises `DataError`."""
    try:
        with _opened(path) as file:
            turned = upright and file.getexif().get(_ORIENTATION, 1) >= 5
            return (file.width, file.height) if turned else (file.height, file.width)
    except Exception as error:  # as in read_rgb
        raise DataError(f"{path}: {_reason(error)}") from error


def file_identity(path: Path) -> str:
    """Place, size and time of the last change. Raises `DataError`."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {_reason(error)}") from error
    return f"{path.resolve()} {stat.st_size} bytes {stat.st_mtime_ns} ns"


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file with its header read. Raises `ValueError` for more pixels than are decoded without being asked to."""
    most = _most_pixels()
    with open(path, "rb") as stream:
        stream.peek()  # the disk is waited for before the lock
        with _pillow_without_limit():
            file = Image.open(stream, formats=_FORMATS)
        if file.width * file.height > most:
            raise ValueError(
                f"{file.width} x {file.height} pixels, required at most {most:,}; {MAX_PIXELS} in the environment "
                "lifts the limit"
            )
        yield file


@contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Pillow's limit warns where ours refuses, and whoever runs a command could not lift it."""
    with _PILLOW:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _most_pixels() -> int:
    given = os.environ.get(MAX_PIXELS)
    if given is None:
        return _MAX_PIXELS
    if not given.isdecimal() or int(given) == 0:
        raise ValueError(f"{MAX_PIXELS}: required a number of pixels, found {given}")
    return int(given)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.array(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of Pillow's mode {image.mode}, required 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # directly to RGB, Pillow warns
    return image.convert("RGB")


def file_problem(path: Path, size: tuple[int, int] | None = None) -> str | None:
    """The problem with an image file, found by decoding it; `size` is the (height, width) it should have."""
    try:
        with _opened(path) as file:
            if size and (file.height, file.width) != size:
                return f"{file.width} x {file.height} pixels, required {size[1]} x {size[0]}"
            file.draft("RGB", (1, 1))  # JPEG: every byte is decoded, but few pixels are made of them
            _as_rgb(file)
    except Exception as error:  # as in read_rgb
        return _reason(error)
    return None


def problems_of_files(
    paths: Sequence[Path], names: Sequence[str], size: Callable[[int], tuple[int, int]] | None = None
) -> list[str]:
    """One line for missing and one for broken files; decodes all files, in one thread per core."""
    exists = [_is_there(path) for path in paths]
    missing = [shortened(name) for name, there in zip(names, exists, strict=True) if not there]
    present = [index for index, there in enumerate(exists) if there]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda index: file_problem(paths[index], size(index) if size else None), present)
        pairs = zip(present, found, strict=True)
        broken = [f"{shortened(names[index])} ({problem})" for index, problem in pairs if problem]
    return [
        f"{title}: {first_five(those)}"
        for title, those in (("missing images", missing), ("images that cannot be used", broken))
        if those
    ]


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long: opening the file says so
        return True


def first_five(items: Iterable[object]) -> str:
    """`a, b`, or `a, b, c, d, e, … (12 in all)`."""
    texts = [str(item) for item in items]
    return ", ".join(texts) if len(texts) <= 5 else f"{', '.join(texts[:5])}, … ({len(texts)} in all)"


def shortened(text: str) -> str:
    """The start of a long one."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
