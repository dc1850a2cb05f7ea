"""Replace a run directory by one compressed file."""

import gzip
import os
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from fpnkit.errors import RunError
from fpnkit.foundation.files import directory_size, storage_error
from fpnkit.foundation.lock import LOCK, DirectoryLock
from fpnkit.foundation.steps import Step, Tell, nobody
from fpnkit.foundation.temporaries import remove_temporaries, temporary
from fpnkit.runs import layout
from fpnkit.runs.store import RunInfo
from fpnkit.runs.trash import Trashed, move, new_bin, purge

_SUFFIX = ".tar.gz"
_LONGEST_NAME = 230  # bytes, so that a suffix and a number still fit into the 255 of a file's name
_CHUNK = 1 << 20
_PACKING, _COMPARING = "packing", "comparing with the directory"


def archive(info: RunInfo, base_dir: Path, tell: Tell = nobody) -> Path:
    """`archive/<name>.tar.gz`, compared byte for byte with the directory before that is deleted.

    The run must have passed `trash.require_movable`. Raises RunError or StorageError, and then leaves the directory
    unchanged; so does whatever `tell` raises.
    """
    folder = base_dir / layout.ARCHIVE
    if folder.is_symlink():
        raise RunError(f"{folder}: must be a directory of its own, found a symbolic link to {os.readlink(folder)}")
    lock = DirectoryLock(info.path, "archive")
    unfinished = temporary(folder / info.path.name)
    try:
        folder.mkdir(exist_ok=True)
        remove_temporaries(folder)
        size = directory_size(info.path)
        _pack(info.path, unfinished, _Counter(tell, Step(_PACKING, of=size, are_bytes=True, then=(_COMPARING,))))
        _check(info.path, unfinished, _Counter(tell, Step(_COMPARING, of=size, are_bytes=True)))
        target = _unused(folder, info.path.name)
        os.replace(unfinished, target)
        # Through the trash: if the deletion is interrupted, no half of a run appears in the list.
        binned = move(info.path, new_bin(base_dir) / info.path.name)
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise RunError(f"{info.path}: its archive could not be read back; nothing was removed") from error
    except OSError as error:
        raise storage_error(folder, error) from error
    finally:
        unfinished.unlink(missing_ok=True)
        lock.release()
    purge([Trashed(binned, binned.parent.name, 0)])
    return target


class _Counter:
    """Tells how many bytes of a step are done."""

    def __init__(self, tell: Tell, step: Step) -> None:
        self._tell, self._step, self.done = tell, step, 0

    def add(self, count: int) -> None:
        self.done += count
        self._tell(replace(self._step, done=min(self.done, self._step.of)))  # an archive has headers too


class _Counted(gzip.GzipFile):
    def __init__(self, file: IO[bytes], counter: _Counter) -> None:
        super().__init__(fileobj=file, mode="wb", compresslevel=6)
        self._counter = counter

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._counter.add(written)
        return written


def _pack(run_dir: Path, path: Path, counter: _Counter) -> None:
    with open(path, "wb") as file:
        with _Counted(file, counter) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
            lock = f"{run_dir.name}/{LOCK}"  # reading it would release it
            tar.add(run_dir, arcname=run_dir.name, filter=lambda member: None if member.name == lock else member)
        file.flush()
        os.fsync(file.fileno())


def _check(run_dir: Path, path: Path, counter: _Counter) -> None:
    """Raise RunError unless the archive holds exactly what the directory holds."""
    missing = {run_dir.name}
    for folder, directories, files in os.walk(run_dir):
        inside = run_dir.name / Path(folder).relative_to(run_dir)
        missing |= {str(inside / name) for name in (*directories, *files)}
    missing.discard(f"{run_dir.name}/{LOCK}")
    with tarfile.open(path, "r:gz") as tar:
        for member in tar:
            original = run_dir.parent / member.name
            if member.name not in missing or not _same(tar, member, original, counter):
                raise RunError(f"{original}: changed while it was archived; nothing was removed")
            missing.discard(member.name)
    if missing:
        raise RunError(f"{run_dir.parent / min(missing)}: cannot be archived; nothing was removed")


def _same(tar: tarfile.TarFile, member: tarfile.TarInfo, original: Path, counter: _Counter) -> bool:
    if member.issym():
        return original.is_symlink() and os.readlink(original) == member.linkname
    if member.isdir():
        return original.is_dir() and not original.is_symlink()
    packed = tar.extractfile(member)
    if packed is None or original.is_symlink():
        return False
    with packed, open(original, "rb") as file:
        return _equal(packed, file, counter)


def _equal(a: IO[bytes], b: IO[bytes], counter: _Counter) -> bool:
    while True:
        left, right = a.read(_CHUNK), b.read(_CHUNK)
        if left != right:
            return False
        if not left:
            return True
        counter.add(len(left))


def _unused(folder: Path, name: str) -> Path:
    stem = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])
    path, number = folder / f"{stem}{_SUFFIX}", 0
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}_{number}{_SUFFIX}"
    return path
