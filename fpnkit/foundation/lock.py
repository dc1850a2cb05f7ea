"""A lock on a directory, held by one process for as long as it lives."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation.files import is_machine_error, storage_error

_NAME = ".lock"
_CLOSED = -1


class DirectoryLock:
    """Acquired on construction.

    Raises RunError if another process holds it. It is a record lock, not `flock`: workers forked by the trainer do not
    inherit it, so it is free as soon as the trainer is gone. A process does not lock itself out.
    """

    def __init__(self, directory: Path, taken: str = "another process is training this run") -> None:
        path = directory / _NAME
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if is_machine_error(error):
                raise storage_error(path, error) from error
            raise RunError(f"{directory}: must be a directory that can be written to: {error.strerror}") from error
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return  # a file system without locks: the facts in run.json must suffice
            self.release()
            raise RunError(f"{directory}: {taken}") from error

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        file, self._file = self._file, _CLOSED
        with contextlib.suppress(OSError):
            os.close(file)
