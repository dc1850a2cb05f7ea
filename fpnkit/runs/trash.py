"""Remove runs so that they can be restored: into .trash, back again, or deleted for good.

`.trash/<time of removal>/<name>` holds a run unchanged. Only what lies directly in the base directory is ever moved,
whatever a name says.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import directory_size, storage_error
from fpnkit.foundation.lock import GONE, DirectoryLock
from fpnkit.foundation.temporaries import is_temporary, remove_temporaries, temporary
from fpnkit.runs import layout
from fpnkit.runs.create import create_run_directory
from fpnkit.runs.status import GOING_ON
from fpnkit.runs.store import RunInfo, run_info


@dataclass(frozen=True)
class Trashed:
    """A run in the trash."""

    path: Path
    removed: str  # when, such as `20261216_143022`
    size_bytes: int

    @property
    def name(self) -> str:
        return self.path.name


def require_movable(run: str, base_dir: Path) -> RunInfo:
    """The run, if it may be removed.

    Raises RunError for paths outside the base directory, symbolic links, running runs and old-style logs.
    """
    path = layout.find_run(run, base_dir)
    if path.is_symlink():
        raise RunError(f"run {run!r}: is a symbolic link to {os.readlink(path)}; only what lies in {base_dir} is moved")
    place = path.absolute().parent.resolve()
    if place != base_dir.resolve() or path.name in ("", "..") or not layout.is_listed(path.name):
        raise RunError(f"run {run!r}: does not lie in {base_dir} itself; only such runs are moved, see --base-dir")
    try:
        info = run_info(base_dir / path.name)
    except RunError as error:
        if path.exists():
            raise
        raise RunError(f"{path}: {GONE}") from error
    if info.status == "imported":
        raise RunError(f"{path.name}: is an old-style log; such files are left as they are")
    if info.status in GOING_ON:
        raise RunError(f"{path.name}: is {info.status}; stop it first")
    return info


def trash(info: RunInfo, base_dir: Path) -> Path:
    """Move a run that passed `require_movable`; return its new path. Raises RunError or StorageError."""
    lock = DirectoryLock(info.path, "trash")  # a resume that starts now must not lose its directory
    try:
        return move(info.path, new_bin(base_dir) / info.path.name)
    finally:
        lock.release()


def new_bin(base_dir: Path) -> Path:
    """A fresh folder in the trash, named by the time."""
    tidy(base_dir)
    return create_run_directory(_trash_dir(base_dir), clock.stamp(clock.now()))


def tidy(base_dir: Path) -> None:
    """Delete what a killed `purge` has begun to delete."""
    for folder in _folders(_trash_dir(base_dir)):
        if remove_temporaries(folder, of_any_name=False):
            _remove_if_empty(folder)


def list_trash(base_dir: Path) -> list[Trashed]:
    """Removed runs, latest first."""
    found = []
    for folder in _folders(_trash_dir(base_dir)):
        found += [Trashed(path, folder.name, directory_size(path)) for path in _folders(folder)]
    return sorted(found, key=lambda item: (item.removed, item.name), reverse=True)


def find_trashed(text: str, base_dir: Path) -> Trashed:
    """Find a removed run by a unique part of its name or of `<time of removal>/<name>`. Raises RunError."""
    items = list_trash(base_dir)
    fits = [item for item in items if item.name == text] or [
        item for item in items if text and text in f"{item.removed}/{item.name}"
    ]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise RunError(f"run {text!r}: nothing in the trash of {base_dir} has this in its name")
    shown = [f"  {item.removed}/{item.name}" for item in fits]
    raise RunError(
        "\n".join([f"run {text!r}: {len(fits)} in the trash of {base_dir} match; name one of them:", *shown])
    )


def restore(item: Trashed, base_dir: Path) -> Path:
    """Restore it under its name. Raises RunError if the name is taken, or StorageError."""
    target = base_dir / item.name
    if os.path.lexists(target):
        raise RunError(f"{target}: exists; rename it first, then restore")
    move(item.path, target)
    _remove_if_empty(item.path.parent)
    return target


def purge(items: Sequence[Trashed]) -> None:
    """Delete for good. Raises StorageError for the first one that cannot be deleted, RunError for one that is gone."""
    for item in items:
        doomed = temporary(item.path)  # one of several processes gets it, and none restores half of it
        try:
            os.rename(item.path, doomed)
        except FileNotFoundError as error:
            raise RunError(
                f"{item.removed}/{item.name}: is no longer in the trash; another process has deleted or restored it"
            ) from error
        except OSError as error:
            raise storage_error(item.path, error) from error
        try:
            shutil.rmtree(doomed)  # removes links, not what they point to
        except OSError as error:
            with contextlib.suppress(OSError):
                os.rename(doomed, item.path)
            raise storage_error(item.path, error) from error
        _remove_if_empty(item.path.parent)


def move(source: Path, target: Path) -> Path:
    """Move to a place in the same base directory and return the new path. Raises RunError."""
    try:
        os.rename(source, target)
    except OSError as error:
        _remove_if_empty(target.parent)
        raise RunError(f"{source}: cannot be moved to {target}: {error.strerror}") from error
    return target


def _trash_dir(base_dir: Path) -> Path:
    path = base_dir / layout.TRASH
    if path.is_symlink():
        raise RunError(f"{path}: must be a directory of its own, found a symbolic link to {os.readlink(path)}")
    return path


def _folders(path: Path) -> list[Path]:
    """Require real directories, so that no link leads out of the trash."""
    try:
        with os.scandir(path) as entries:
            found = [path / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            return [each for each in found if not is_temporary(each)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
