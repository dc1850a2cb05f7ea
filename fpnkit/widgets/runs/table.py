"""The table of runs."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common.html import badge_color, icon
from fpnkit.widgets.common.table import Column, Table


def _column(key: str, label: str, show: Callable[[RunInfo], str], *, right: bool = False) -> Column[RunInfo]:
    return Column(key, label, show, attrgetter(key), right)


def _text(key: str) -> Callable[[RunInfo], str]:
    return lambda run: text.printable(getattr(run, key) or text.NOTHING)


COLUMNS = (
    _column("created", "run", lambda run: text.printable(layout.short_name(run.name))),
    _column("status", "status", lambda run: f"{icon(run.status)} {run.status}"),
    _column("map", "mAP", lambda run: text.percent(run.map), right=True),
    _column("bpp", "bpp", lambda run: text.number(run.bpp), right=True),
    _column("share_of_ceiling", "of ceiling", lambda run: text.percent(run.share_of_ceiling, " %"), right=True),
    _column("codec", "codec", _text("codec")),
    _column("detector", "detector", _text("detector")),
    _column("dataset", "data", _text("dataset")),
    _column("lmbda", "λ", lambda run: text.rate(run.lmbda), right=True),
    _column("best_loss", "loss", lambda run: text.number(run.best_loss), right=True),
    _column("duration_seconds", "time", lambda run: text.duration(run.duration_seconds), right=True),
    _column("note", "note", _text("note")),
)


class RunTable(Table[RunInfo]):
    """Runs with boxes to mark those to compare."""

    def __init__(self) -> None:
        # A page holds text, and file names may be no Unicode.
        super().__init__(
            "runs",
            COLUMNS,
            lambda run: text.printable(run.path),
            marks=True,
            badge=lambda run: badge_color(run.status),
        )
