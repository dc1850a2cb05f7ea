"""The folders of the feature cache, one per detector: their contents, and which are dropped to make room."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from fpnkit.data.feature_file import SUFFIX
from fpnkit.foundation.temporaries import TEMPORARY_SUFFIX

UNUSED_SECONDS = 24 * 3600.0  # after which another detector's features may be dropped
_FOLDER_NAME = re.compile(r"[0-9a-f]{16}")  # nothing else below the root is counted or dropped


def stored_names(folder: Path) -> set[str]:
    """Names of the complete files, without suffix."""
    return {entry.name.removesuffix(SUFFIX) for entry in _entries(folder) if entry.name.endswith(SUFFIX)}


def mark_used(folder: Path) -> None:
    """Set the folder's modification time to now: the record of its last use. Raises `OSError`."""
    os.utime(folder)


def used_bytes(root: Path) -> int:
    """Size of everything kept below `root`."""
    return sum(_folder_bytes(folder) for folder in _folders(root))


def make_room(root: Path, own: Path, needed_bytes: int, budget_bytes: int) -> int:
    """Drop folders of other detectors, longest unused first, while `needed_bytes` exceed the budget; return the bytes
    freed.

    A process that still reads a dropped folder computes its features again.
    """
    _drop_temporaries(own)
    freed, excess = 0, used_bytes(root) + needed_bytes - budget_bytes
    others = [folder for folder in _folders(root) if folder != own]
    for folder in sorted(others, key=_last_use):
        if freed >= excess or time.time() - _last_use(folder) < UNUSED_SECONDS:
            break
        freed += _drop(folder)
    return freed


def _drop_temporaries(folder: Path) -> None:
    """Remove half-written files of killed processes."""
    for entry in _entries(folder):
        with contextlib.suppress(OSError):
            if entry.name.endswith(TEMPORARY_SUFFIX) and time.time() - entry.stat().st_mtime > UNUSED_SECONDS:
                os.unlink(entry.path)


def _drop(folder: Path) -> int:
    freed = 0
    for entry in _entries(folder):
        with contextlib.suppress(OSError):
            if entry.name.endswith((SUFFIX, TEMPORARY_SUFFIX)):
                size = entry.stat().st_size
                os.unlink(entry.path)
                freed += size
    with contextlib.suppress(OSError):  # something that is not ours keeps the folder
        folder.rmdir()
    return freed


def _folders(root: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(root) if _FOLDER_NAME.fullmatch(entry.name)]


def _folder_bytes(folder: Path) -> int:
    size = 0
    for entry in _entries(folder):
        with contextlib.suppress(OSError):  # another process may remove files meanwhile
            size += entry.stat().st_size
    return size


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
