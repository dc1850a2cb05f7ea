"""The protocol of places where trainings can run.

A new place is a subclass of `Launch`, which knows whether it is alive and ends it, and a function that submits, next to
it; `launchers` has a line for it. Finding, inspecting and waiting work from files and are shared:
`<base_dir>/.launch/<stamp>_<n>.log` receives the command's output from the start, `<stamp>_<n>.record` its facts (see
`process_record`), and `<stamp>_<n>.json` says what was submitted where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fpnkit.foundation.files import write_json
from fpnkit.foundation.process_record import ProcessRecord

FOLDER = ".launch"
TRAIN = "fpnkit.train"
SWEEP = "fpnkit.sweep"
SCHEMA_VERSION = 2  # 1: before commands kept a record

How = Literal["graceful", "now", "kill"]


@dataclass(frozen=True, kw_only=True)
class Launch(ABC):
    """A submitted command, perhaps from long ago and elsewhere."""

    launcher: ClassVar[str]  # its name among the launchers
    scheduled: ClassVar[bool] = False  # whether it may wait before it begins

    file: Path  # what says so
    argv: tuple[str, ...]  # without secrets
    cwd: str
    started: str  # ISO 8601
    host: str  # that submitted it
    stop_asked: str | None = None  # ISO 8601; of a command with a run directory that has it instead, see `stop.asked`
    schema_version: int = SCHEMA_VERSION

    @property
    @abstractmethod
    def label(self) -> str:
        """Name for people, such as `process 77`."""

    @property
    @abstractmethod
    def here(self) -> bool:
        """Whether this machine can tell if it is alive."""

    @abstractmethod
    def lives(self) -> bool:
        """Whether this very command is running; False if this machine cannot tell."""

    @property
    def begun(self) -> bool:
        """Whether it is known to run, and not to wait for that."""
        return self.lives()

    @property
    def waits(self) -> str | None:
        """What a scheduler says about it, for people, while it may not have begun."""
        return None

    @property
    def why_ended(self) -> str | None:
        """Why a scheduler ended it, for people; None if it did not, or nobody knows."""
        return None

    @abstractmethod
    def end(self, how: How) -> str:
        """End it and return a sentence about what was done. Raises RunError if it is gone."""

    @property
    def log(self) -> Path:
        """Path of its output."""
        return self.file.with_suffix(".log")

    @property
    def record(self) -> Path:
        """Path of its facts."""
        return self.file.with_suffix(".record")

    @property
    def base_dir(self) -> Path:
        """The folder that holds the runs."""
        return self.file.parent.parent

    @property
    def module(self) -> str:
        """`fpnkit.train` or another command."""
        return self.argv[self.argv.index("-m") + 1]

    def write(self) -> None:
        """Write what `launchers.load` reads. Raises StorageError."""
        facts = {key: value for key, value in asdict(self).items() if key != "file"}
        write_json(self.file, {"launcher": self.launcher, **facts})


@dataclass(frozen=True)
class ProcessState:
    """The state of a submitted command."""

    running: bool
    record: ProcessRecord
    run: Path | None  # the run directory, once there is one
    output: tuple[str, ...]  # last lines
    failure: str | None  # for people: why it ended without a run directory, or what ended a sweep
