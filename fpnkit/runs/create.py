"""Create a run directory that no other process has."""

import errno
import itertools
import os
from pathlib import Path

from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation.files import is_machine_error, storage_error


def create_run_directory(base_dir: Path, name: str) -> Path:
    """Create `base_dir/name`, or `name_1`, `name_2` … if it is taken; safe with many processes.

    Raises RunError if the base directory cannot hold runs, StorageError if the disk cannot.
    """
    try:
        base_dir.mkdir(parents=True, exist_ok=True)
        for attempt in itertools.count():
            path = base_dir / (name if attempt == 0 else f"{name}_{attempt}")
            try:
                os.mkdir(path)  # fails where it exists: the only test that two processes cannot both pass
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise _explain(base_dir, error) from error
    raise AssertionError("unreachable")


def require_base_directory(base_dir: Path) -> None:
    """Raise the RunError that `create_run_directory` would raise after long preparations; creates nothing."""
    nearest = next(part for part in (base_dir, *base_dir.parents) if part.exists())
    if not nearest.is_dir():
        raise _explain(base_dir, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if not os.access(nearest, os.W_OK | os.X_OK):
        read_only = os.statvfs(nearest).f_flag & os.ST_RDONLY  # which `access` does not tell from a lack of rights
        number = errno.EROFS if read_only else errno.EACCES
        raise _explain(base_dir, OSError(number, os.strerror(number)))


def _explain(base_dir: Path, error: OSError) -> FpnkitError:
    if is_machine_error(error):
        return storage_error(base_dir, error)
    file = next((part for part in (base_dir, *base_dir.parents) if part.exists() and not part.is_dir()), None)
    if file is not None:
        return RunError(f"base directory {base_dir}: must be a directory, found the file {file}")
    return RunError(f"base directory {base_dir}: required a directory that can be written to: {error.strerror}")
