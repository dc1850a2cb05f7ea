"""Facts that a process records for whoever started it, in a file named by an environment variable.

Printed text is for people only. Without the variable nothing is recorded.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fpnkit.errors import StorageError
from fpnkit.foundation import clock
from fpnkit.foundation.files import parse_json, write_json
from fpnkit.foundation.redact import Redactor
from fpnkit.foundation.steps import Step

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VARIABLE = "FPNKIT_RECORD"
SCHEMA_VERSION = 1
_COUNT_SECONDS = 1.0

Phase = Literal["starting", "preparing", "training", "evaluating"]
Outcome = Literal["finished", "stopped", "failed", "refused", "interrupted"]


@dataclass(frozen=True)
class Caution:
    """A warning."""

    kind: str  # one word, for programs
    text: str


@dataclass(frozen=True)
class Doing:
    """A step that is counted."""

    what: str
    done: int
    of: int
    since: str  # ISO 8601: it began


@dataclass(frozen=True)
class ProcessRecord:
    """Facts about a process; None if not known (yet)."""

    phase: Phase = "starting"
    pid: int | None = None
    run: str | None = None  # the directory of the run that it trains
    sweep: str | None = None  # the id of the sweep that it works on
    parameters: int | None = None  # of the codec
    outcome: Outcome | None = None  # `refused`: its input was wrong; `interrupted`: before anything was made
    reason: str | None = None  # of the outcome, for people
    warnings: tuple[Caution, ...] = ()
    cache_bytes: int | None = None  # that the feature cache will take from the disk of the runs
    since: str | None = None  # ISO 8601: the phase began
    doing: Doing | None = None
    inner: str | None = None  # the record of a command that it waits for
    launched: str | None = None  # what says where it submitted the training to a scheduler


def read_process_record(path: Path) -> ProcessRecord:
    """What a process has recorded so far; empty if there is no file or a newer fpnkit wrote it."""
    try:
        data = parse_json(path.read_bytes())
        if data["schema_version"] <= SCHEMA_VERSION:
            return _adapter().validate_python(data)
    except (OSError, ValueError, KeyError, TypeError):  # pydantic's is a ValueError
        pass
    return ProcessRecord()


def at_work(record: ProcessRecord) -> ProcessRecord:
    """The record of the command that works: what a process waits for, or itself."""
    if record.inner is not None and (inner := read_process_record(Path(record.inner))).pid is not None:
        return inner
    return record


@functools.cache
def _adapter() -> TypeAdapter[ProcessRecord]:
    from pydantic import TypeAdapter  # not for commands, which only write

    return TypeAdapter(ProcessRecord)


def record_environment(path: Path) -> dict[str, str]:
    """The environment for a process that should write its record there."""
    return {**os.environ, VARIABLE: str(path)}


class Reporter:
    """Writes the record of this process, or of one command in it."""

    def __init__(
        self, argv: Sequence[str] = sys.orig_argv, write: Callable[[ProcessRecord], None] | None = None
    ) -> None:
        """`write` gets the record whenever it changes; without it the file that the environment names does."""
        self._write = _to_file() if write is None else write
        self._redactor = Redactor(os.environ, argv)
        self._count_at = 0.0
        self._writing = threading.RLock()  # reentrant: a signal handler may log a warning in the middle of a write
        self.record = ProcessRecord(pid=os.getpid())
        self.tell()

    def tell(self, **facts: Any) -> None:
        """Set fields of the record."""
        with self._writing:
            if "phase" in facts:
                facts["since"] = clock.to_text(clock.now())
            self.record = replace(self.record, **facts)
            self._write(self.record)

    def count(self, step: Step | None) -> None:
        """What is done now, once a second; None: that is over."""
        before, now = self.record.doing, time.monotonic()
        if step is None or before is None or before.what != step.what:
            since = clock.to_text(clock.now())
        elif now < self._count_at:
            return
        else:
            since = before.since
        self._count_at = now + _COUNT_SECONDS
        self.tell(doing=None if step is None else Doing(step.what, step.done, step.of, since))

    def end(self, outcome: Outcome, reason: str | None) -> None:
        """Record how the process ends, unless already recorded."""
        if self.record.outcome is None:
            self.tell(outcome=outcome, reason=self.record.reason if reason is None else self._redactor.text(reason))

    def warn(self, kind: str, text: str) -> None:
        """Add a warning, only once."""
        caution = Caution(kind, self._redactor.text(text))
        with self._writing:
            if caution not in self.record.warnings:
                self.tell(warnings=(*self.record.warnings, caution))


def _to_file() -> Callable[[ProcessRecord], None]:
    """Removes the path from the environment, so that child processes do not write to this record."""
    path = os.environ.pop(VARIABLE, None)

    def write(record: ProcessRecord) -> None:
        if path is not None:
            with contextlib.suppress(StorageError):  # on a full disk the file stays unchanged
                write_json(Path(path), {"schema_version": SCHEMA_VERSION, **asdict(record)})

    return write
