"""The places where trainings can run, and one way to submit, find and inspect them."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import is_machine_error, parse_json, storage_error
from fpnkit.foundation.process_record import ProcessRecord, read_process_record
from fpnkit.launch.local import LocalLaunch, command
from fpnkit.launch.old_output import record_of_old
from fpnkit.launch.output import last_lines, last_words
from fpnkit.launch.protocol import FOLDER, SCHEMA_VERSION, TRAIN, Launch, ProcessState
from fpnkit.launch.slurm import Options, SlurmLaunch, submit_array
from fpnkit.runs import layout
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.record import read_record
from fpnkit.runs.status import GOING_ON, status_of

LAUNCHERS: dict[str, type[Launch]] = {each.launcher: each for each in (LocalLaunch, SlurmLaunch)}
_KEPT = 20  # outputs of ended processes that may have failed


def submit(arguments: Sequence[str], base_dir: Path, module: str = TRAIN) -> Launch:
    """Run `python -m fpnkit.train ARGUMENTS` on this machine, independently of this process.

    `base_dir` is where its arguments put runs. Raises RunError or StorageError, and then leaves nothing behind or
    running.
    """
    with _place_for_log(base_dir) as log:
        return LocalLaunch.submit(command(arguments, module), log)


def submit_to_slurm(
    commands: Sequence[Sequence[str]],
    base_dir: Path,
    options: Options,
    *,
    at_once: int | None = None,
    after: Sequence[str] = (),
) -> list[SlurmLaunch]:
    """Submit a job array, see `slurm.submit_array`. Raises what that and `submit` raise, and then leaves nothing."""
    with _place_for_log(base_dir) as log:
        launches = submit_array(commands, log, options, at_once=at_once, after=after)
        log.unlink()  # its name is the stem of theirs
        return launches


@contextlib.contextmanager
def _place_for_log(base_dir: Path) -> Iterator[Path]:
    """A new log in the folder of launches; gone again after an error."""
    base_dir = base_dir.absolute()
    require_base_directory(base_dir)
    folder, is_new = base_dir / FOLDER, not base_dir.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        log = _new_log(folder)
    except OSError as error:
        raise _explain(folder, error) from error
    try:
        yield log
    except BaseException:
        log.unlink()
        with contextlib.suppress(OSError):  # only if they are empty
            folder.rmdir()
            if is_new:
                base_dir.rmdir()
        raise


def find(base_dir: Path) -> list[Launch]:
    """All submissions for this base directory, newest first."""
    return sorted(_read(base_dir.absolute() / FOLDER), key=lambda item: (item.started, item.file.name), reverse=True)


def load(file: Path) -> Launch:
    """Read what `Launch.write` wrote. Raises RunError if it is gone or of another version."""
    try:
        data = parse_json(file.read_bytes())
        kind = LAUNCHERS[data.get("launcher", LocalLaunch.launcher)]
        known = {item.name for item in fields(kind)}
        given = {key: value for key, value in data.items() if key in known}
        launch = kind(**{"schema_version": 1, **given, "argv": tuple(data["argv"]), "file": file})
    except OSError as error:
        raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file}: required what fpnkit.launch writes, found something else") from error
    if launch.schema_version > SCHEMA_VERSION:
        found = f"has schema version {launch.schema_version}, this fpnkit reads up to {SCHEMA_VERSION}"
        raise RunError(f"{file}: {found}; update fpnkit")
    return launch


def look(launch: Launch, lines: int = 20) -> ProcessState:
    """The state of the command, from facts."""
    running = launch.lives()  # checked first, so that what it does at its very end is not missed
    record = facts(launch)
    run = run_of(launch, record)
    if not running and not launch.here:
        running = run is not None and _status(run) in GOING_ON
    failure = None if running or run is not None else _failure(launch, record)
    return ProcessState(running, record, run, tuple(last_lines(launch.log, lines)), failure)


def facts(launch: Launch) -> ProcessRecord:
    """The facts the command has recorded so far."""
    if isinstance(launch, LocalLaunch) and launch.schema_version == 1:
        return record_of_old(launch)
    return read_process_record(launch.record)


def run_of(launch: Launch, record: ProcessRecord | None = None) -> Path | None:
    """The run directory that the command created or resumed.

    None if there is none (yet), it is gone, or it is a sweep.
    """
    run = (record or facts(launch)).run
    return Path(run) if run is not None and layout.is_run_directory(Path(run)) else None


def _failure(launch: Launch, record: ProcessRecord) -> str | None:
    """The failure of a command that ended without a run. For a killed sweep its runs tell more than its last lines."""
    if record.outcome == "refused":
        return record.reason or last_words(launch.log)
    if record.outcome is None and (why := launch.why_ended) is not None:
        return why
    if record.outcome == "failed" or (record.outcome is None and record.sweep is None):
        return last_words(launch.log, record.reason)
    return None


def _new_log(folder: Path) -> Path:
    """A new file, readable only by its owner, because raw output is not redacted like a run's log."""
    stamp = clock.stamp(clock.now())
    for number in itertools.count(1):
        path = folder / f"{stamp}_{number}.log"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            if not any(folder.glob(f"{path.stem}t*")):  # tasks of a job array, whose stem it was
                return path
            path.unlink()
    raise AssertionError("unreachable")


def _explain(folder: Path, error: OSError) -> FpnkitError:
    if is_machine_error(error):
        return storage_error(folder, error)
    return RunError(f"{folder}: required a directory that can be written to: {error.strerror}")


def _read(folder: Path) -> Iterator[Launch]:
    for file in folder.glob("*.json"):
        with contextlib.suppress(RunError):
            yield load(file)


def _status(run: Path) -> str:
    try:
        return status_of(run, read_record(run)).word
    except RunError:
        return "incomplete"


def _tidy(folder: Path) -> None:
    """Remove records that add nothing to their run directory, and the oldest of the rest.

    Records from the last minute stay, because their name could otherwise be given twice.
    """
    young = clock.now() - timedelta(minutes=1)
    old = [item for item in find(folder.parent) if (clock.from_text(item.started) or young) < young]
    ended = [item for item in old if item.here and not item.lives()]
    useless = [item for item in ended if (run := run_of(item)) and _status(run) in ("finished", "stopped")]
    rest = [item for item in ended if item not in useless]
    for item in [*useless, *rest[_KEPT:]]:
        for path in (item.log, item.record, item.file):
            path.unlink(missing_ok=True)
