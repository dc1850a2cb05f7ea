"""Processes that outlive whoever started them: started, found again from any other process, and read.

`<base_dir>/.launch/<stamp>_<n>.log` takes a process's output from its first moment, before it has a run directory;
`<stamp>_<n>.json` beside it says which process it is.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import is_machine_error, storage_error, write_json
from fpnkit.foundation.processes import host_name, process_lives, process_start
from fpnkit.foundation.redact import Redactor
from fpnkit.launch.output import first_lines, last_failure, last_lines
from fpnkit.runs import layout
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.record import read_record
from fpnkit.runs.status import run_status

FOLDER = ".launch"
TRAIN = "fpnkit.train"
SWEEP = "fpnkit.sweep"
_KEPT = 20  # outputs of ended processes that may have failed
_CLOCK_SKEW_SECONDS = 60  # of a file server
# What becomes the process: where SIGINT is ignored, as under a Jupyter that a script started with `&`, all that is
# started ignores it too, and a stop would not be heard. A signal that is blocked is kept for later all the same.
_HEARING = [
    "import os, signal, sys",
    "signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])",
    "os.execv(sys.argv[1], sys.argv[1:])",
]


@dataclass(frozen=True)
class Launch:
    """A process that `start` started, perhaps long ago and from elsewhere."""

    file: Path  # what says so
    log: Path
    argv: tuple[str, ...]  # without secrets
    cwd: str
    started: str  # ISO 8601
    host: str
    pid: int
    pid_created: str
    pid_start: str | None  # see `status.process_start`
    stop_asked: str | None = None  # ISO 8601; of a process with a run directory that has it instead, see `stop.asked`

    @property
    def base_dir(self) -> Path:
        """The folder that holds the runs."""
        return self.file.parent.parent

    @property
    def module(self) -> str:
        """`fpnkit.train` or another command."""
        return self.argv[self.argv.index("-m") + 1]

    @property
    def here(self) -> bool:
        """Whether it was started on this machine, the only one that can tell whether it lives."""
        return self.host == host_name()

    def lives(self) -> bool:
        """Whether this very process is there; False on another machine."""
        return self.here and process_lives(self.pid, self.pid_created, self.pid_start)


@dataclass(frozen=True)
class ProcessState:
    """What there is to see of a launched process."""

    running: bool
    run: Path | None  # the run directory, once there is one
    output: tuple[str, ...]  # last lines
    failure: str | None  # why it ended without a run directory, or what a sweep complained of


def command(arguments: Sequence[str], module: str = TRAIN) -> list[str]:
    """The command line, for the interpreter that runs this code."""
    return [sys.executable, "-u", "-m", module, *arguments]


def start(arguments: Sequence[str], base_dir: Path, module: str = TRAIN) -> Launch:
    """Start `python -m fpnkit.train ARGUMENTS` in a session of its own: no end of this process ends it.

    `base_dir` is where its arguments say that runs go. Raises RunError or StorageError, with nothing left behind and
    no process running.
    """
    base_dir = base_dir.absolute()
    require_base_directory(base_dir)
    folder, is_new = base_dir / FOLDER, not base_dir.exists()
    argv = command(arguments, module)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        log, output = _new_log(folder)
    except OSError as error:
        raise _explain(folder, error) from error
    try:
        process = _popen(argv, output)
        try:
            return _note(process.pid, argv, log)
        except BaseException:
            process.kill()
            raise
        finally:
            # Waited for by a thread: else it would stay a zombie for as long as this process lives.
            threading.Thread(target=process.wait, name="fpnkit reaper", daemon=True).start()
    except BaseException:
        log.unlink()
        with contextlib.suppress(OSError):  # only if they are empty
            folder.rmdir()
            if is_new:
                base_dir.rmdir()
        raise
    finally:
        os.close(output)


def _new_log(folder: Path) -> tuple[Path, int]:
    """A file that is nobody else's; closed to others, for raw output is not cleaned of secrets as a run's log is."""
    stamp = clock.stamp(clock.now())
    for number in itertools.count(1):
        path = folder / f"{stamp}_{number}.log"
        with contextlib.suppress(FileExistsError):
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    raise AssertionError("unreachable")


def _popen(argv: Sequence[str], output: int) -> subprocess.Popen[bytes]:
    begin = [argv[0], "-ISc", "; ".join(_HEARING), *argv]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(begin, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    except OSError as error:
        raise FpnkitError(f"{argv[0]}: could not be started: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _note(pid: int, argv: Sequence[str], log: Path) -> Launch:
    created = datetime.fromtimestamp(psutil.Process(pid).create_time()).astimezone()
    launched = Launch(
        file=log.with_suffix(".json"),
        log=log,
        argv=tuple(Redactor(os.environ, argv).arguments(argv)),
        cwd=os.getcwd(),
        started=clock.to_text(clock.now()),
        host=host_name(),
        pid=pid,
        pid_created=clock.to_text(created),
        pid_start=process_start(pid),
    )
    write(launched)
    return launched


def write(launched: Launch) -> None:
    """What `load` reads. Raises StorageError."""
    write_json(launched.file, {key: value for key, value in asdict(launched).items() if key not in ("file", "log")})


def _explain(folder: Path, error: OSError) -> FpnkitError:
    if is_machine_error(error):
        return storage_error(folder, error)
    return RunError(f"{folder}: must be a directory that can be written to: {error.strerror}")


def find(base_dir: Path) -> list[Launch]:
    """All that were started for this base directory, newest first."""
    return sorted(_read(base_dir.absolute() / FOLDER), key=lambda item: (item.started, item.file.name), reverse=True)


def load(file: Path) -> Launch:
    """What `start` wrote. Raises RunError if it is not there any more, or of another version."""
    try:
        data = json.loads(file.read_bytes())
        data["argv"] = tuple(data["argv"])
        return Launch(file=file, log=file.with_suffix(".log"), **data)
    except OSError as error:
        raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: required what fpnkit.launch writes, found something else") from error


def _read(folder: Path) -> Iterator[Launch]:
    for file in folder.glob("*.json"):
        with contextlib.suppress(RunError):
            yield load(file)


def look(launched: Launch, lines: int = 20) -> ProcessState:
    """What the process does, by its facts."""
    running = launched.lives()  # before the rest: what it does at its very end is then not missed
    run = run_of(launched)
    if not running and not launched.here:
        running = run is not None and _status(run) == "running"
    failure = None if running or run is not None else last_failure(launched.log, launched.module)
    return ProcessState(running, run, tuple(last_lines(launched.log, lines)), failure)


def run_of(launched: Launch) -> Path | None:
    """The run directory that the process made or resumed; None: not yet, never, or it is a sweep."""
    if launched.module == SWEEP:
        return None
    said = None if launched.lives() else _said(launched)
    return said or _run_of_process(launched)


def lost_run(launched: Launch) -> Path | None:
    """The run directory that the process had, where that was moved or deleted."""
    return next((path for path in _named(launched) if not path.exists()), None)


def _said(launched: Launch) -> Path | None:
    """What its output names: `run.json` knows a process no more once another has resumed the run."""
    return next(filter(layout.is_run_directory, _named(launched)), None)


def _named(launched: Launch) -> list[Path]:
    """What lines of its output name in the base directory."""
    lines = [*last_lines(launched.log, 10)[::-1], *first_lines(launched.log)]
    paths = [Path(line.removeprefix("run ")) for line in lines]
    return [path for path in paths if path.parent == launched.base_dir]


def _run_of_process(launched: Launch) -> Path | None:
    """The run whose record has this process; only directories that changed since its start are opened."""
    started = clock.from_text(launched.started)
    oldest = started.timestamp() - _CLOCK_SKEW_SECONDS if started else 0.0
    try:
        entries = [entry for entry in os.scandir(launched.base_dir) if layout.is_listed(entry.name) and entry.is_dir()]
    except OSError:
        return None
    for entry in entries:
        with contextlib.suppress(OSError, RunError):
            if entry.stat().st_mtime < oldest:
                continue
            record = read_record(Path(entry.path))
            same = (record.pid, record.host, record.pid_created) == (launched.pid, launched.host, launched.pid_created)
            if same if launched.pid_start is None else record.pid_start == launched.pid_start:
                return Path(entry.path)
    return None


def _status(run: Path) -> str:
    try:
        return run_status(read_record(run)).word
    except RunError:
        return "incomplete"


def _tidy(folder: Path) -> None:
    """Remove what says nothing that the run directory does not say, and the oldest of what may.

    Not what began in the last minute: a name that is free again in its own second could be given twice.
    """
    young = clock.now() - timedelta(minutes=1)
    old = [item for item in find(folder.parent) if (clock.from_text(item.started) or young) < young]
    ended = [item for item in old if item.here and not item.lives()]
    useless = [item for item in ended if (run := run_of(item)) and _status(run) in ("finished", "stopped")]
    rest = [item for item in ended if item not in useless]
    for item in [*useless, *rest[_KEPT:]]:
        for path in (item.log, item.file):
            path.unlink(missing_ok=True)
