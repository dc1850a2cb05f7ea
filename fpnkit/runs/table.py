"""The list of runs for people: as wide as the terminal, or plain aligned text for a pipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.runs import layout, text
from fpnkit.runs.store import RunInfo

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2
_LONGEST = 32  # of a text that is shown because there is room
# On a narrow terminal these; lambda, lr and batch size have columns, so the name is shortened to its time.
_CORE = ("name", "status", "epoch", "lmbda", "lr", "batch_size", "best_loss", "duration_seconds", "size_bytes")
# As far as there is room, in this order.
_MORE = ("reason", "bpp_estimated", "detector", "codec", "dataset", "note", "tags", "seed", "best_epoch")
_HEADERS = {
    "name": "run",
    "lmbda": "lambda",
    "batch_size": "bs",
    "best_loss": "loss",
    "duration_seconds": "time",
    "size_bytes": "size",
    "bpp_estimated": "bpp est.",
}
_RIGHT = {"epoch", "lmbda", "lr", "batch_size", "best_loss", "duration_seconds", "size_bytes", "bpp_estimated"}
_RIGHT |= {"epochs", "seed", "best_epoch"}
_STYLES = {
    "running": "bold green",
    "crashed": "bold red",
    "killed": "red",
    "stopped": "yellow",
    "stale": "yellow",
    "incomplete": "dim",
    "imported": "dim",
}
_FORMATS: dict[str, Callable[[RunInfo], str]] = {
    "created": lambda run: text.date(run.created),
    "epoch": lambda run: _epoch(run),
    "lmbda": lambda run: text.rate(run.lmbda),
    "lr": lambda run: text.rate(run.lr),
    "best_loss": lambda run: text.number(run.best_loss),
    "bpp_estimated": lambda run: text.number(run.bpp_estimated),
    "duration_seconds": lambda run: text.duration(run.duration_seconds),
    "size_bytes": lambda run: text.size(run.size_bytes),
    "tags": lambda run: ", ".join(run.tags) or text.NOTHING,
}


@dataclass(frozen=True)
class _Column:
    key: str
    header: str
    cells: list[str]

    @cached_property
    def width(self) -> int:
        return max(map(len, [self.header, *self.cells]))


def plain_table(runs: Sequence[RunInfo], columns: Sequence[str] | None) -> str:
    """Aligned text without styles or limits of width, one run a line."""
    shown = [_column(key, runs) for key in columns or (*_CORE, "reason")]
    rows = [[column.header for column in shown], *zip(*(column.cells for column in shown), strict=True)]
    gap = " " * _GAP
    lines = [gap.join(_align(column, cell) for column, cell in zip(shown, row, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def print_table(runs: Sequence[RunInfo], columns: Sequence[str] | None, base_dir: Path, console: "Console") -> None:
    """A table in colour that fits the terminal: fewer columns where it is narrow, never cut numbers."""
    from rich.table import Table
    from rich.text import Text

    shown = [_column(key, runs) for key in columns] if columns else _fitting(runs, console.width)
    tight = _total(shown, _GAP) > console.width
    table = Table(box=None, padding=(0, 1 if tight else _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in shown:
        long = column.key in ("name", "path", "reason", "note", "tags", "dataset")
        table.add_column(
            column.header,
            justify="right" if column.key in _RIGHT else "left",
            overflow="fold" if column.key in ("name", "path") else "ellipsis",
            no_wrap=not long or column.key in ("reason", "note", "tags", "dataset"),
            min_width=None if long else column.width,
        )
    for position, run in enumerate(runs):
        style = _STYLES.get(run.status, "")
        table.add_row(*(Text(c.cells[position], style if c.key == "status" else "") for c in shown))
    console.print(table)
    count = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} in {text.printable(base_dir)}"
    console.print(Text(count, "dim"), soft_wrap=True)


def _fitting(runs: Sequence[RunInfo], width: int) -> list[_Column]:
    shown = [_column(key, runs) for key in _CORE]
    short = _Column("name", "run", [text.printable(layout.short_name(run.name)) for run in runs])
    if _total([short, *shown[1:]], _GAP) > width or _total(shown, _GAP) > width:
        return [short, *shown[1:]]
    for key in _MORE:
        column = _shortened(_column(key, runs))
        if set(column.cells) != {text.NOTHING} and _total([*shown, column], _GAP) <= width:
            shown.append(column)
    return shown


def _shortened(column: _Column) -> _Column:
    """One long reason or note must not take the room of all other columns."""
    cells = [cell if len(cell) <= _LONGEST else cell[: _LONGEST - 1] + "…" for cell in column.cells]
    return _Column(column.key, column.header, cells)


def _total(columns: Sequence[_Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * len(columns)


def _column(key: str, runs: Sequence[RunInfo]) -> _Column:
    cells = [text.printable(_FORMATS[key](run) if key in _FORMATS else _as_it_is(run, key)) for run in runs]
    return _Column(key, _HEADERS.get(key, key), cells)


def _as_it_is(run: RunInfo, key: str) -> str:
    value = getattr(run, key)
    return text.NOTHING if value is None else str(value)


def _align(column: _Column, cell: str) -> str:
    return cell.rjust(column.width) if column.key in _RIGHT else cell.ljust(column.width)


def _epoch(run: RunInfo) -> str:
    if run.epoch is None:
        return text.NOTHING
    return str(run.epoch) if run.epochs is None else f"{run.epoch}/{run.epochs}"
