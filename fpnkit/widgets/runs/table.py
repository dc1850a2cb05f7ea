"""A table of runs: sorted by any column, in pages, with one run chosen and any number marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common.html import badge_color, icon

PAGE = 25  # runs
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class _Column:
    key: str  # of RunInfo
    label: str
    show: Callable[[RunInfo], str]
    right: bool = False  # a number


def _text(key: str) -> Callable[[RunInfo], str]:
    return lambda run: text.printable(getattr(run, key) or text.NOTHING)


COLUMNS = (
    _Column("created", "run", lambda run: text.printable(layout.short_name(run.name))),
    _Column("status", "status", lambda run: f"{icon(run.status)} {run.status}"),
    _Column("map", "mAP", lambda run: text.percent(run.map), right=True),
    _Column("bpp", "bpp", lambda run: text.number(run.bpp), right=True),
    _Column("share_of_ceiling", "of ceiling", lambda run: text.percent(run.share_of_ceiling, " %"), right=True),
    _Column("codec", "codec", _text("codec")),
    _Column("detector", "detector", _text("detector")),
    _Column("dataset", "data", _text("dataset")),
    _Column("lmbda", "λ", lambda run: text.rate(run.lmbda), right=True),
    _Column("best_loss", "loss", lambda run: text.number(run.best_loss), right=True),
    _Column("duration_seconds", "time", lambda run: text.duration(run.duration_seconds), right=True),
    _Column("note", "note", _text("note")),
)


class RunTable(anywidget.AnyWidget):
    """Shows the runs that `show` is given; `chosen` and `marked` can be observed."""

    _esm = _HERE / "table.js"
    _css = _HERE / "table.css"
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    marked = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sort = traitlets.Unicode().tag(sync=True)  # a column's key; empty: as the runs come
    descending = traitlets.Bool().tag(sync=True)
    page = traitlets.Int().tag(sync=True)
    pages = traitlets.Int(1).tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)
    drawn = traitlets.Int().tag(sync=True)  # counts up when everything else is in place

    def __init__(self) -> None:
        self._runs: Sequence[RunInfo] = ()
        self._by_id: dict[str, Path] = {}
        columns = [{"key": each.key, "label": each.label, "right": each.right} for each in COLUMNS]
        super().__init__(columns=columns)
        self.observe(lambda _: self._draw(first=True), ["sort", "descending"])
        self.observe(lambda _: self._draw(), ["page", "chosen", "marked"])

    def show(self, runs: Sequence[RunInfo]) -> None:
        """Replace the runs; the page, the order and what is chosen and marked stay where they can."""
        self._runs, self._by_id = runs, {_id(run.path): run.path for run in runs}
        self._draw()

    @property
    def chosen_path(self) -> Path | None:
        """Of the run that a person picked, if it is still there."""
        return self._by_id.get(self.chosen)

    @property
    def marked_paths(self) -> list[Path]:
        """In the order of marking."""
        return [self._by_id[each] for each in self.marked if each in self._by_id]

    @property
    def ordered(self) -> Sequence[RunInfo]:
        """All runs in the order of the table; unknown values last."""
        if not self.sort:
            return self._runs
        keys = {run.path: _key(run, self.sort) for run in self._runs}
        known = [run for run in self._runs if keys[run.path] is not None]
        unknown = [run for run in self._runs if keys[run.path] is None]
        return [*sorted(known, key=lambda run: keys[run.path], reverse=self.descending), *unknown]

    def turn_to(self, path: Path | None) -> None:
        """Choose a run, and show the page that it is on."""
        self.chosen = "" if path is None else _id(path)
        places = [at for at, run in enumerate(self.ordered) if run.path == path]
        if places:
            self.page = places[0] // PAGE

    def mark(self, paths: Sequence[Path]) -> None:
        """Mark these, and no others of the runs that are shown; those that a search hides stay marked."""
        if set(paths) != set(self.marked_paths):
            hidden = [each for each in self.marked if each not in self._by_id]
            self.marked = [*hidden, *map(_id, paths)]

    def _draw(self, *, first: bool = False) -> None:
        pages = max(1, -(-len(self._runs) // PAGE))
        page = 0 if first else max(0, min(self.page, pages - 1))
        ordered = self.ordered
        shown = ordered[page * PAGE : (page + 1) * PAGE]
        with self.hold_sync():
            self.pages, self.page = pages, page
            self.rows = [_row(run) for run in shown]
            begin = page * PAGE + 1
            self.place = f"{begin:,} to {begin + len(shown) - 1:,} of {len(ordered):,}" if shown else "no runs"
            self.drawn += 1


def _key(run: RunInfo, name: str) -> Any:
    """None for what is unknown."""
    value = getattr(run, name)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.casefold() if isinstance(value, str) else value


def _id(path: Path) -> str:
    """A text that a page can hold; file names may be no Unicode."""
    return text.printable(path)


def _row(run: RunInfo) -> dict[str, Any]:
    name, *cells = (column.show(run) for column in COLUMNS)
    return {"id": _id(run.path), "name": name, "cells": cells, "badge": badge_color(run.status)}
