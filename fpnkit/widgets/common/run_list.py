"""The runs that a panel lists: read anew only where something changed, named and chosen for people."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.query import select
from fpnkit.runs.store import RunInfo, list_runs, run_info
from fpnkit.widgets.common.html import icon

NO_RUNS = """\
There are no runs yet. Make an example sweep, as ExampleSweep() offers, or in the project's folder:
python -m fpnkit.sweep --config configs/example_sweep.yaml --lambdas 3e-6 2e-5 1e-4 5e-4 2.5e-3 --evaluate"""
ANY_STATUS = "any status"
_ENDED = ("finished", "stopped", "crashed")  # the status of others can change while their files do not
_WATCHED = ("", layout.RUN_JSON, layout.NOTE, layout.TAGS)  # "": the directory, in which all files are replaced

ORDERS: dict[str, Callable[[RunInfo], tuple[Any, ...]]] = {
    "newest first": lambda run: (-(run.created.timestamp() if run.created else 0.0), run.name),
    "smallest loss first": lambda run: (_known(run.best_loss), run.name),
    "smallest lambda first": lambda run: (_known(run.lmbda), _known(run.best_loss), run.name),
    "largest first": lambda run: (-(run.size_bytes or 0), run.name),
}


class KnownRuns:
    """The runs of one base directory. A run that ended and whose files did not change since is not read again."""

    def __init__(self, base_dir: Path) -> None:
        self.base_dir = base_dir
        self._known: dict[str, tuple[tuple[object, ...], RunInfo]] = {}

    def read(self) -> list[RunInfo]:
        """All runs, in no order. Raises RunError if the base directory cannot be read."""
        try:
            names = [entry.name for entry in os.scandir(self.base_dir) if layout.is_listed(entry.name)]
        except OSError:
            self._known = {}
            return list_runs(self.base_dir)  # says what is wrong
        found = {}
        for name in names:
            changed = _stamp(os.path.join(self.base_dir, name))
            known = self._known.get(name)
            if known is None or known[0] != changed or known[1].status not in _ENDED:
                try:
                    known = (changed, run_info(self.base_dir / name))
                except (RunError, OSError):
                    continue  # no run, or gone while the directory was read
            found[name] = known
        self._known = found
        return [info for _, info in found.values()]

    def stamps(self) -> dict[Path, tuple[object, ...]]:
        """What `read` went by: another one where a file of the run is another."""
        return {info.path: changed for changed, info in self._known.values()}


def label(run: RunInfo) -> str:
    """One line of a list: time, settings, codec, status, loss."""
    parts = [text.date(run.created)] if run.created else [text.printable(run.name)]
    parts += [f"λ {text.rate(run.lmbda)}"] if run.lmbda is not None else []
    parts += [f"lr {text.rate(run.lr)}"] if run.lr is not None else []
    parts += [f"bs {run.batch_size}"] if run.batch_size is not None else []
    parts += [text.printable(run.codec or run.detector or "")] if run.codec or run.detector else []
    parts.append(f"{icon(run.status)} {run.status}")
    parts += [f"loss {text.number(run.best_loss)}"] if run.best_loss is not None else []
    parts += [f"for {text.printable(run.detector)}"] if run.codec and run.detector else []
    parts += [f"on {text.printable(run.dataset)}"] if run.dataset else []
    parts += [text.printable(", ".join(run.tags))] if run.tags else []
    return " · ".join(parts)


def short_label(run: RunInfo) -> str:
    """For a legend or the head of a column."""
    name = text.printable(layout.short_name(run.name))
    return name if run.lmbda is None else f"{name} · λ {text.rate(run.lmbda)}"


def choose(runs: Sequence[RunInfo], words: str, status: str, query: str, order: str) -> list[RunInfo]:
    """Those that have all words somewhere, the status, and fulfil the query, in order. Raises RunError: the query."""
    needles = words.casefold().split()
    found = [
        run
        for run in runs
        if status in (ANY_STATUS, run.status) and (not needles or all(word in _haystack(run) for word in needles))
    ]
    if query.strip():
        found = select(found, query)
    return sorted(found, key=ORDERS[order])


def _haystack(run: RunInfo) -> str:
    parts = (run.name, label(run), run.note or "", run.detector or "", run.dataset or "", run.reason or "")
    return " ".join(parts).casefold()


def _known(value: float | None) -> float:
    """What is not known, or not a number, comes last."""
    return math.inf if value is None or math.isnan(value) else value


def _stamp(path: str) -> tuple[object, ...]:
    """Differs when anything that a list shows has changed on disk."""
    return (
        *(file_time(os.path.join(path, name)) for name in _WATCHED),
        *_summaries(os.path.join(path, layout.EVALUATION)),
    )


def _summaries(folder: str) -> list[object]:
    paths = [checkpoint for dataset in _entries(folder) for checkpoint in _entries(dataset)]
    paths += [each for path in paths for each in _entries(path) if layout.is_quality(os.path.basename(each))]
    return [(path, file_time(os.path.join(path, layout.SUMMARY))) for path in paths]


def _entries(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError:
        return []


def file_time(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Differs when the file was changed or replaced; None where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
