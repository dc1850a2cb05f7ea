"""A lock on a directory, held by one process for as long as it lives."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
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
_USED = "another process is evaluating or analyzing this run"
_MOVES = ("archive", "trash")
_WORK, _USE = 0, 1  # bytes of the file: one process works, others read and write results of their own
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
                taken = _locked(self._file, _WORK, fcntl.LOCK_EX)
            except OSError:
                self._note(doing)
                return  # a file system without locks: the facts in run.json must suffice
            if taken:
                if not _is_at(self._file, directory):  # moved between opening and locking
                    raise RunError(f"{directory}: {GONE}")
                if doing in _MOVES and not _locked(self._file, _USE, fcntl.LOCK_EX):
                    raise RunError(f"{directory}: {_USED}")
                self._note(doing)
                return
            if (holder := _holder(self._file)) in _TAKEN:
                raise RunError(f"{directory}: {_TAKEN[holder]}")
            time.sleep(_PAUSE_SECONDS)
        raise RunError(f"{directory}: {_TAKEN[doing if doing in ('evaluate', 'sweep') else 'train']}")

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


@contextlib.contextmanager
def used(directory: Path) -> Iterator[None]:
    """Others may use the directory too, and one may work on it, but nobody moves it away.

    Raises RunError if somebody is doing so, or has done it. Where nothing can be written, nothing is kept from anybody.
    """
    try:
        file = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError as error:
        raise RunError(f"{directory}: {GONE}") from error
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            if not _locked(file, _USE, fcntl.LOCK_SH):
                raise RunError(f"{directory}: {_TAKEN.get(_holder(file), _TAKEN['archive'])}")
        if not _is_at(file, directory):
            raise RunError(f"{directory}: {GONE}")
        yield
    finally:
        os.close(file)


def _locked(file: int, byte: int, kind: int) -> bool:
    """Whether nobody else had it. Raises `OSError` where there are no locks."""
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _holder(file: int) -> str:
    """What the process does that works on the directory, as it wrote."""
    return os.pread(file, 20, 0).decode(errors="replace")


def _is_at(file: int, directory: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(directory / LOCK))
    except OSError:
        return False
