"""The runs of a base directory as rows, read from their files."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.runs import layout
from fpnkit.runs.evaluations import read_evaluations
from fpnkit.runs.old_log import read_old_log
from fpnkit.runs.record import RunRecord, read_record, trained_seconds
from fpnkit.runs.status import RunStatus, StatusWord, status_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunInfo:
    """One run in a list; None if unknown or not applicable."""

    name: str  # of the directory
    path: Path
    status: StatusWord
    reason: str | None = None  # more about the status
    created: datetime | None = None
    kind: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    lmbda: float | None = None
    lr: float | None = None
    batch_size: int | None = None
    codec: str | None = None
    detector: str | None = None
    dataset: str | None = None
    seed: int | None = None
    best_loss: float | None = None
    best_epoch: int | None = None
    bpp_estimated: float | None = None  # at the best epoch; before there is one, the last measured
    bpp: float | None = None  # of file bytes, in the newest evaluation
    map: float | None = None  # in the newest evaluation
    share_of_ceiling: float | None = None  # of the detector's mAP without a codec, in the newest evaluation
    duration_seconds: float | None = None  # of training, pauses between resumes left out
    size_bytes: int | None = None
    note: str | None = None  # first line
    tags: tuple[str, ...] = ()
    sweep: str | None = None
    host: str | None = None
    settings_hash: str | None = None  # runs that differ in these two have losses that cannot be compared
    detector_fingerprint: str | None = None


NONE_YET = "there are no runs yet; python -m fpnkit.train --config CONFIG makes one, ExampleSweep() in a notebook a few"
COLUMNS = tuple(item.name for item in fields(RunInfo))


def list_runs(base_dir: Path) -> list[RunInfo]:
    """All runs, newest first. What cannot be read is listed as incomplete, with the reason.

    Raises RunError if the base directory is missing or cannot be read.
    """
    now = clock.now()
    looks = (look(entry, now) for entry in entries(base_dir))
    return newest_first(run for run in looks if run is not None)


def runs_frame(base_dir: Path) -> "pd.DataFrame":
    """`list_runs` as a table, one column for each field of RunInfo."""
    import pandas as pd

    return pd.DataFrame([vars(run) for run in list_runs(base_dir)], columns=list(COLUMNS))


def run_info(run_dir: Path) -> RunInfo:
    """The row of one run, or of a lone old-style log. Raises RunError if it is neither."""
    if run_dir.suffix == ".log" and run_dir.is_file():
        return _imported(run_dir, [run_dir])
    info = _read_run(run_dir, clock.now()) if run_dir.is_dir() else None
    if info is None:
        raise RunError(f"{run_dir}: not a run directory")
    return info


def entries(base_dir: Path) -> list["os.DirEntry[str]"]:
    """What may be a run, in no order. Raises RunError if the base directory is missing or cannot be read."""
    try:
        with os.scandir(base_dir) as entries:
            return [entry for entry in entries if layout.is_listed(entry.name)]
    except FileNotFoundError as error:
        why = f": {NONE_YET}" if layout.is_usual(base_dir) else ""
        raise RunError(f"base directory {base_dir}: does not exist{why}") from error
    except NotADirectoryError as error:
        raise RunError(f"base directory {base_dir}: must be a directory, found a file") from error
    except OSError as error:
        raise RunError(f"base directory {base_dir}: cannot be read: {error.strerror}") from error


def newest_first(runs: Iterable[RunInfo]) -> list[RunInfo]:
    """As lists show them."""
    return sorted(runs, key=lambda run: (run.created.timestamp() if run.created else 0.0, run.name), reverse=True)


def look(entry: "os.DirEntry[str]", now: datetime) -> RunInfo | None:
    """None if it is not a run, or disappeared while the directory was read."""
    path = Path(entry.path)
    try:
        if entry.is_dir():
            return _read_run(path, now)
        return _imported(path, [path]) if entry.name.endswith(".log") else None
    except OSError:
        return None


def _read_run(path: Path, now: datetime) -> RunInfo | None:
    try:
        record = read_record(path)
    except RunError as error:
        return _without_record(path, str(error).removeprefix(f"{path}{os.sep}"))
    return _row(path, record, status_of(path, record, now=now), now)


def _without_record(path: Path, reason: str) -> RunInfo | None:
    """An old-style run, an incomplete or damaged one, or no run at all."""
    try:
        files = sorted(path.iterdir())
    except FileNotFoundError:
        return None
    except OSError as error:
        return _incomplete(path, f"cannot be read: {error.strerror}")
    names = {file.name for file in files}
    if layout.RUN_JSON in names or layout.CONFIG_USED in names:
        return _incomplete(path, reason)
    if any(file.suffix in (".log", ".pth") for file in files):
        return _imported(path, files)
    return _incomplete(path, reason) if path.name.startswith("run_") else None


def _incomplete(path: Path, reason: str) -> RunInfo:
    created = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return RunInfo(path.name, path, "incomplete", reason, created, note=_note(path), tags=_tags(path))


def _imported(path: Path, files: list[Path]) -> RunInfo:
    sizes = [file.stat() for file in files if file.is_file()]
    newest = max((stat.st_mtime for stat in sizes), default=path.stat().st_mtime)
    log = read_old_log(next((file for file in files if file.suffix == ".log"), path))
    weights = sum(file.suffix == ".pth" for file in files)
    return RunInfo(
        path.name,
        path,
        "imported",
        f"{weights} .pth file{'' if weights == 1 else 's'}" if weights else None,
        created=datetime.fromtimestamp(newest).astimezone(),
        **vars(log),
        size_bytes=sum(stat.st_size for stat in sizes),
        note=_note(path),
        tags=_tags(path),
    )


def _row(path: Path, record: RunRecord, status: RunStatus, now: datetime) -> RunInfo:
    best, last, config = record.best, record.last, record.config
    bpp = best.metrics.get("bpp_estimated") if best else last.get("bpp_estimated") if last else None
    files = _names(path)  # most runs have none of the three: one listing instead of three failures
    evaluated = read_evaluations(path) if layout.EVALUATION in files else []
    return RunInfo(
        name=path.name,  # the name people see, even if renamed; code that needs identity uses the id
        path=path,
        status=status.word,
        reason=status.reason,
        created=clock.from_text(record.created),
        kind=record.kind,
        epoch=record.epoch,
        epochs=record.epochs,
        **vars(config),
        best_loss=best.loss if best else None,
        best_epoch=best.epoch if best else None,
        bpp_estimated=bpp if isinstance(bpp, float) else None,
        bpp=evaluated[-1].summary.bpp if evaluated else None,
        map=evaluated[-1].summary.map if evaluated else None,
        share_of_ceiling=evaluated[-1].summary.share_of_ceiling if evaluated else None,
        duration_seconds=trained_seconds(record, now if status.word == "running" else None),
        size_bytes=record.size_bytes,
        note=_note(path) if layout.NOTE in files else None,
        tags=_tags(path) if layout.TAGS in files else (),
        sweep=record.sweep,
        host=record.host,
        settings_hash=record.settings_hash,
        detector_fingerprint=record.detector_fingerprint,
    )


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _note(path: Path) -> str | None:
    """First non-empty line."""
    try:
        with open(os.path.join(path, layout.NOTE), encoding="utf-8", errors="replace") as file:
            return next((text for line in file if (text := line.strip().lstrip("#").strip())), None)
    except OSError:
        return None


def _tags(path: Path) -> tuple[str, ...]:
    """The texts in tags.json; an invalid file counts as empty."""
    try:
        with open(os.path.join(path, layout.TAGS), "rb") as file:
            data = json.load(file)
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(_texts(data))


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, list):
        yield from (item for item in data if isinstance(item, str))
