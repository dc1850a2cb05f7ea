"""What every place that trainings run in has in common.

Such a place is a subclass of `Launch` and one line in `launchers`: it submits a command, tells whether it lives, and
ends it. Finding, looking and waiting are the same for all, and follow from files: `<base_dir>/.launch/<stamp>_<n>.log`
takes a command's output from its first moment, before it has a run directory; `<stamp>_<n>.record` its facts, see
`process_record`; `<stamp>_<n>.json` says what was submitted where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

from fpnkit.foundation.files import write_json
from fpnkit.foundation.process_record import ProcessRecord

FOLDER = ".launch"
TRAIN = "fpnkit.train"
SWEEP = "fpnkit.sweep"
SCHEMA_VERSION = 2  # 1: before commands kept a record

How = Literal["graceful", "now", "kill"]


@dataclass(frozen=True, kw_only=True)
class Launch(ABC):
    """A command that was submitted, perhaps long ago and from elsewhere."""

    launcher: ClassVar[str]  # its name among the launchers

    file: Path  # what says so
    argv: tuple[str, ...]  # without secrets
    cwd: str
    started: str  # ISO 8601
    host: str  # that submitted it
    stop_asked: str | None = None  # ISO 8601; of a command with a run directory that has it instead, see `stop.asked`
    schema_version: int = SCHEMA_VERSION

    @classmethod
    @abstractmethod
    def submit(cls, argv: Sequence[str], log: Path) -> Self:
        """Have the command run, its output appended to `log`, its facts kept in the record beside it.

        Writes itself, see `write`. Raises FpnkitError, and then nothing runs.
        """

    @property
    @abstractmethod
    def label(self) -> str:
        """What people know it by, such as `process 77`."""

    @property
    @abstractmethod
    def here(self) -> bool:
        """Whether this machine can tell whether it lives."""

    @abstractmethod
    def lives(self) -> bool:
        """Whether this very command runs; False where this machine cannot tell."""

    @abstractmethod
    def end(self, how: How) -> str:
        """Have it end; → what was done, in a sentence. Raises RunError if it is gone."""

    @property
    def log(self) -> Path:
        """Its output."""
        return self.file.with_suffix(".log")

    @property
    def record(self) -> Path:
        """Its facts."""
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
        """What `launchers.load` reads. Raises StorageError."""
        facts = {key: value for key, value in asdict(self).items() if key != "file"}
        write_json(self.file, {"launcher": self.launcher, **facts})


@dataclass(frozen=True)
class ProcessState:
    """What there is to see of a command that was submitted."""

    running: bool
    record: ProcessRecord
    run: Path | None  # the run directory, once there is one
    output: tuple[str, ...]  # last lines
    failure: str | None  # for people: why it ended without a run directory, or what ended a sweep
