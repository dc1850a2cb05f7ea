"""The runs of one base directory, of which only what has changed is read again.

What was read is remembered in the user's cache directory for the next process. The run directories stay the only truth:
a memory that is lost, damaged or of another shape costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from fpnkit.errors import StorageError
from fpnkit.foundation import clock
from fpnkit.foundation.files import file_stamp, write_bytes
from fpnkit.foundation.processes import host_name
from fpnkit.foundation.steps import Step, Tell, nobody
from fpnkit.runs import layout, store
from fpnkit.runs.evaluations import evaluation_directories
from fpnkit.runs.status import MAY_GO_ON
from fpnkit.runs.store import RunInfo

_log = logging.getLogger(__name__)

_SHAPE = " ".join(store.COLUMNS)  # of what is remembered; another one is forgotten
_WORTH_KEEPING = 100  # runs that had to be read: with fewer, the next process reads them as fast
_TOLD = 50  # runs at once
_SETTLED = ("finished", "stopped", "crashed", "killed", "stale")  # the status of others can change by itself
_READ = (layout.RUN_JSON, layout.NOTE, layout.TAGS, layout.METRICS, layout.JOB)

Stamp = tuple[int, int, int]
Watched = tuple[tuple[str, Stamp], ...]  # every file that was read, and folders in which files may come and go


@dataclass(frozen=True)
class _Known:
    watched: Watched
    info: RunInfo


@dataclass(frozen=True)
class _Memory:
    shape: str
    base_dir: str
    host: str  # whether a process lives can only be seen there
    runs: dict[str, _Known]  # by name


class RunIndex:
    """The runs of one base directory. Runs that have ended and whose files did not change are not read again."""

    def __init__(self, base_dir: Path) -> None:
        self.base_dir = base_dir
        self._known: dict[str, _Known] | None = None  # by name; None: not even remembered yet
        self._new = 0  # that are not remembered

    def read(self, tell: Tell = nobody) -> list[RunInfo]:
        """Like `list_runs`. If `tell` raises, what was read so far is kept for the next time."""
        entries = store.entries(self.base_dir)
        if self._known is None:
            self._known = _remembered(self.base_dir)
        now, before = clock.now(), self._known
        found: dict[str, _Known] = {}
        for number, entry in enumerate(entries):
            known = before.get(entry.name)
            if number % _TOLD == 0:
                tell(Step("looking at run", number, len(entries)))
            if known is None or not _settled(known) or _changed(known.watched):
                watched = _watch(entry.path)  # before it is read: what changes meanwhile is read next time
                info = store.look(entry, now)
                known = None if info is None else _Known(watched, info)
                self._new += known is not None and known.info.status in _SETTLED
                if known is not None:
                    before[entry.name] = known
            if known is not None:
                found[entry.name] = known
        self._known = found
        if self._new >= _WORTH_KEEPING:
            _remember(self.base_dir, self._known)
            self._new = 0
        return store.newest_first(known.info for known in found.values())

    def states(self) -> dict[Path, object]:
        """A state per run found by `read` that changes when there is anything new to read.

        It includes the status, because that of a run whose process died changes without any file.
        """
        found = (self._known or {}).values()
        return {known.info.path: (known.watched, known.info.status, known.info.reason) for known in found}


def _watch(path: str) -> Watched:
    paths = [path, *(f"{path}/{name}" for name in _READ)]
    for directory in evaluation_directories(path):
        folders = [directory, os.path.dirname(directory), os.path.dirname(os.path.dirname(directory))]
        paths += [f"{directory}/{layout.SUMMARY}", *folders]
    return tuple((each, stamp) for each in dict.fromkeys(paths) if (stamp := file_stamp(each)) is not None)


def _settled(known: _Known) -> bool:
    """Whether its status can only change by its files. That of a run with a job can by the scheduler."""
    status = known.info.status
    if status in MAY_GO_ON and any(os.path.basename(path) == layout.JOB for path, _ in known.watched):
        return False
    return status in _SETTLED


def _changed(watched: Watched) -> bool:
    """Whether a file changed; one that came or went changes its folder."""
    for path, stamp in watched:
        try:
            found = os.stat(path)  # not `file_stamp`: this line is what a list of 10,000 runs waits for
        except OSError:
            return True
        if (found.st_mtime_ns, found.st_size, found.st_ino) != stamp:
            return True
    return False


def _file(base_dir: Path) -> Path:
    name = hashlib.sha256(os.fsencode(base_dir.absolute())).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("fpnkit")) / "runs" / f"{name}.json"


def _remembered(base_dir: Path) -> dict[str, _Known]:
    try:
        memory = msgspec.json.decode(_file(base_dir).read_bytes(), type=_Memory, dec_hook=_as_path)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    known = memory.shape, memory.base_dir, memory.host
    return memory.runs if known == (_SHAPE, str(base_dir), host_name()) else {}


def _remember(base_dir: Path, runs: dict[str, _Known]) -> None:
    settled = {name: known for name, known in runs.items() if known.info.status in _SETTLED}
    path = _file(base_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        memory = _Memory(_SHAPE, str(base_dir), host_name(), settled)
        write_bytes(path, msgspec.json.encode(memory, enc_hook=str))
    except (OSError, StorageError, UnicodeEncodeError) as error:  # no room, no right to write, a name of other bytes
        _log.debug("runs of %s are not remembered: %s", base_dir, error)


def _as_path(kind: type[Any], value: Any) -> Any:
    return kind(value)
