"""A lock on a directory, held by one process for as long as it lives."""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Literal

from fpnkit.errors import RunError
from fpnkit.foundation.files import is_machine_error, storage_error

Doing = Literal["train", "evaluate", "sweep", "archive", "trash"]

LOCK = ".lock"
GONE = "is no longer there; another process has archived or removed it"
_TAKEN: dict[str, str] = {
    "train": "another process is training this run",
    "evaluate": "another process is evaluating into this directory; wait for it",
    "sweep": "another process is working on this sweep",
    "archive": "another process is archiving this run",
    "trash": "another process is moving this run into the trash",
}
_CLOSED = -1
_TRIES, _PAUSE_SECONDS = 5, 0.02  # until whoever has just taken the lock has written for what


class DirectoryLock:
    """Acquired on construction.

    Raises RunError, which says what another process does that holds it, or that the directory is gone. It is a record
    lock, not `flock`: workers forked by the trainer do not inherit it, so it is free as soon as the trainer is gone. A
    process does not lock itself out, and loses the lock when it opens and closes the file `.lock` in another way.
    """

    def __init__(self, directory: Path, doing: Doing = "train") -> None:
        self.path = path = directory / LOCK  # written now
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError as error:
            raise RunError(f"{directory}: {GONE}") from error
        except OSError as error:
            if is_machine_error(error):
                raise storage_error(path, error) from error
            raise RunError(f"{directory}: required a directory that can be written to: {error.strerror}") from error
        try:
            self._take(directory, doing)
        except BaseException:
            self._close()
            raise

    def _take(self, directory: Path, doing: Doing) -> None:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    self._note(doing)
                    return  # a file system without locks: the facts in run.json must suffice
                if (holder := os.pread(self._file, 20, 0).decode(errors="replace")) in _TAKEN:
                    raise RunError(f"{directory}: {_TAKEN[holder]}") from error
                time.sleep(_PAUSE_SECONDS)
            else:
                if not self._is_at(directory):  # moved between opening and locking
                    raise RunError(f"{directory}: {GONE}")
                self._note(doing)
                return
        raise RunError(f"{directory}: {_TAKEN[doing if doing in ('evaluate', 'sweep') else 'train']}")

    def _is_at(self, directory: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(directory / LOCK))
        except OSError:
            return False

    def _note(self, doing: str) -> None:
        with contextlib.suppress(OSError):  # on a full disk
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, doing.encode(), 0)

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._file != _CLOSED:
            self._note("")
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, _CLOSED
        with contextlib.suppress(OSError):
            os.close(file)
