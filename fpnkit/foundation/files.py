"""Files that appear complete or not at all."""

import contextlib
import errno
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fpnkit.errors import StorageError, UserError
from fpnkit.foundation.temporaries import temporary, tidy_once

_MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


def is_machine_error(error: OSError) -> bool:
    """Whether the machine ran out of a resource, as opposed to a wrong path."""
    return error.errno in _MACHINE_ERRORS


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error for a file that could not be written."""
    return StorageError(f"{path}: could not be written: {error.strerror}")


def make_directory(path: Path) -> None:
    """Create it with its parents. Raises `UserError`, or `StorageError` if the machine is at fault."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_machine_error(error):
            raise storage_error(path, error) from error
        raise UserError(f"{path}: required a directory that can be written to: {error.strerror}") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file in one step; until then, and on failure, the old file stays.

    Raises StorageError and leaves nothing behind.
    """
    tidy_once(path.parent)
    unfinished = temporary(path)  # not `tempfile`, whose files colleagues cannot read (mode 600)
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def write_text(path: Path, text: str) -> None:
    """Like `write_bytes`; undecodable bytes that were read as surrogates are written unchanged."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """Like `write_bytes`; NaN and infinities become null, see `to_json`."""
    write_text(path, json.dumps(to_json(value), indent=1, allow_nan=False) + "\n")


def append_text(path: Path, text: str) -> None:
    """Append to a text file. Raises StorageError."""
    try:
        with open(path, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise storage_error(path, error) from error


def directory_size(path: Path) -> int:
    """Size in bytes of all readable files below."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def free_bytes(path: Path) -> int:
    """Free bytes on the disk that holds, or will hold, the path."""
    return shutil.disk_usage(_nearest(path)).free


def same_disk(one: Path, other: Path) -> bool:
    """Whether both are, or will be, on one disk."""
    return _nearest(one).stat().st_dev == _nearest(other).stat().st_dev


def _nearest(path: Path) -> Path:
    path = path.absolute()
    return next(part for part in (path, *path.parents) if part.exists())


def file_stamp(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Changes when the file is changed or replaced; None if there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def to_json(value: Any) -> Any:
    """A copy that JSON can hold: a NaN or infinite `x` becomes `"x": null, "x_repr": "nan"`."""
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        for key, item in value.items():
            result[key] = to_json(item)
            if _is_nonfinite(item):
                result[f"{key}_repr"] = repr(float(item))
        return result
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return None if _is_nonfinite(value) else value


def parse_json(text: str | bytes) -> Any:
    """As `json.loads`; what nests too deeply for it is a ValueError as well."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nests too deeply") from None


def from_json(value: Any) -> Any:
    """The reverse of `to_json` for numbers that have a key."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: from_json(item) for key, item in value.items()}
    for key, item in value.items():
        if item is None and value.get(f"{key}_repr") in ("nan", "inf", "-inf"):
            result[key] = float(result.pop(f"{key}_repr"))
    return result


def _is_nonfinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
