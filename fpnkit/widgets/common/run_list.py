"""The runs that a panel lists, labeled and filtered for people."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.query import select
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common.html import icon

NO_RUNS = """\
There are no runs yet. Make an example sweep, as ExampleSweep() offers, or in the project's folder:
python -m fpnkit.sweep --config configs/example_sweep.yaml --lambdas 3e-6 2e-5 1e-4 5e-4 2.5e-3 --evaluate"""
ANY_STATUS = "any status"

_searched: dict[Path, tuple[RunInfo, str]] = {}

ORDERS: dict[str, Callable[[RunInfo], tuple[Any, ...]]] = {
    "newest first": lambda run: (-(run.created.timestamp() if run.created else 0.0), run.name),
    "smallest loss first": lambda run: (_known(run.best_loss), run.name),
    "smallest lambda first": lambda run: (_known(run.lmbda), _known(run.best_loss), run.name),
    "largest first": lambda run: (-(run.size_bytes or 0), run.name),
}


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
    """A label for legends and column headers."""
    name = text.printable(layout.short_name(run.name))
    return name if run.lmbda is None else f"{name} · λ {text.rate(run.lmbda)}"


def choose(runs: Sequence[RunInfo], words: str, status: str, query: str, order: str) -> list[RunInfo]:
    """Runs that contain all words, have the status and match the query, in order. Raises RunError for a bad query."""
    needles = words.casefold().split()
    found = [
        run
        for run in runs
        if status in (ANY_STATUS, run.status) and (not needles or all(word in _haystack(run) for word in needles))
    ]
    if query.strip():
        found = select(found, query)
    return sorted(found, key=ORDERS[order])


def prepare_search(runs: Iterable[RunInfo]) -> None:
    """Make what `choose` searches in, which takes too long for a key that is pressed, among thousands of runs."""
    for run in runs:
        _haystack(run)


def _haystack(run: RunInfo) -> str:
    known = _searched.get(run.path)
    if known is None or known[0] is not run:
        parts = (run.name, label(run), run.note or "", run.detector or "", run.dataset or "", run.reason or "")
        known = _searched[run.path] = run, " ".join(parts).casefold()
    return known[1]


def _known(value: float | None) -> float:
    """Unknown values and NaN come last."""
    return math.inf if value is None or math.isnan(value) else value
