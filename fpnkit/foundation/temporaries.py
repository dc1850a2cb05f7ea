"""Files and folders that are not complete yet: their names say who makes them, so that others know when that is dead.

A name is `.<target>.<host>-<pid>-<boot>-<tick>-<thread>.tmp`: hashes of the host's name and of its boot, the clock tick
in which the process began.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import socket
import threading
import time
import zlib
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"

_NAME = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-(\d+)-\d+\.tmp", re.DOTALL)
_SHOWN = 30  # characters of the target's name, so that the rest fits into 255 bytes
_UNUSED_SECONDS = 86400  # of what another host makes, whose processes cannot be seen
_tidied: set[tuple[int, str]] = set()


def temporary(path: Path) -> Path:
    """Where to make what `path` will be: beside it, under a name that no other thread or process has."""
    return path.with_name(f".{path.name[:_SHOWN]}.{_maker(os.getpid())}-{threading.get_ident()}{TEMPORARY_SUFFIX}")


def is_temporary(path: Path) -> bool:
    """Whether `temporary` made the name."""
    return _NAME.fullmatch(path.name) is not None


def remove_temporaries(directory: Path, *, of_any_name: bool = True) -> int:
    """Remove what dead processes left in the directory; how many that was.

    `of_any_name`: also what older versions left, whose names do not say who made it; for directories of fpnkit alone.
    """
    try:
        with os.scandir(directory) as entries:
            found = [entry for entry in entries if entry.name[:1] == "." and entry.name.endswith(TEMPORARY_SUFFIX)]
    except OSError:
        return 0
    dead = []
    for entry in found:
        match = _NAME.fullmatch(entry.name)
        if of_any_name if match is None else _is_dead(Path(entry.path), match):
            dead.append(Path(entry.path))
    for path in dead:
        _remove(path)
    return len(dead)


def tidy_once(directory: Path) -> None:
    """`remove_temporaries` of others, at the first call of a process for the directory."""
    key = os.getpid(), os.fspath(directory)
    if key not in _tidied:
        _tidied.add(key)
        remove_temporaries(directory, of_any_name=False)


@functools.cache  # a forked child has a pid of its own
def _maker(pid: int) -> str:
    boot, tick = _start(pid)
    return f"{_hash(socket.gethostname())}-{pid}-{boot}-{tick}"


def _start(pid: int) -> tuple[str, str]:
    """Zeros where they are not known: without Linux's /proc."""
    from fpnkit.foundation.processes import process_start  # psutil, only when something is written

    boot, _, tick = (process_start(pid) or "/0").partition("/")
    return (_hash(boot) if boot else "0" * 8), tick


def _is_dead(path: Path, name: re.Match[str]) -> bool:
    host, pid, boot, tick = name.groups()
    if host != _hash(socket.gethostname()):
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > _UNUSED_SECONDS
        return False
    if pid == str(os.getpid()):
        return _maker(os.getpid()) != f"{host}-{pid}-{boot}-{tick}"
    if boot != _start(os.getpid())[0]:
        return True
    import psutil

    try:
        return psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE or _start(int(pid)) != (boot, tick)
    except (psutil.Error, OverflowError):
        return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _hash(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='surrogateescape')):08x}"
