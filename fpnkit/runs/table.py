"""The list of runs for people: fitted to the terminal, or plain aligned text for a pipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.store import RunInfo

_GAP = 2
_LONGEST = 28  # of a text that is shown because there is room
_NARROWEST = 8  # that a column of text can become
_GIVING_WAY = ("dataset", "tags", "note", "reason", "path", "name")
# On a narrow terminal these; lambda, lr and batch size have columns, so the name is shortened to its time.
_CORE = ("name", "status", "epoch", "lmbda", "lr", "batch_size", "best_loss", "duration_seconds", "size_bytes")
# As far as there is room, in this order.
_MORE = ("bpp", "map", "bpp_estimated", "reason", "tags", "note", "detector", "codec", "dataset", "seed", "best_epoch")
HEADERS = {
    "name": "run",
    "lmbda": "lambda",
    "batch_size": "bs",
    "best_loss": "loss",
    "duration_seconds": "time",
    "size_bytes": "size",
    "bpp_estimated": "bpp est.",
    "map": "mAP",
}
_RIGHT = {"epoch", "lmbda", "lr", "batch_size", "best_loss", "duration_seconds", "size_bytes", "bpp_estimated"}
_RIGHT |= {"bpp", "map"}
_RIGHT |= {"epochs", "seed", "best_epoch"}
_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "1;32", "33"  # as terminals number them
_STYLES = {
    "queued": _GREEN,
    "running": _GREEN,
    "crashed": _RED,
    "killed": _RED,
    "stopped": _YELLOW,
    "stale": _YELLOW,
    "incomplete": _DIM,
    "imported": _DIM,
}
_FORMATS: dict[str, Callable[[RunInfo], str]] = {
    "created": lambda run: text.date(run.created),
    "epoch": lambda run: _epoch(run),
    "lmbda": lambda run: text.rate(run.lmbda),
    "lr": lambda run: text.rate(run.lr),
    "best_loss": lambda run: text.number(run.best_loss),
    "bpp_estimated": lambda run: text.number(run.bpp_estimated),
    "bpp": lambda run: text.number(run.bpp),
    "map": lambda run: text.number(run.map),
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
        return max(map(text.width, [self.header, *self.cells]))


def plain_table(runs: Sequence[RunInfo], columns: Sequence[str] | None) -> str:
    """Aligned text without styles or width limits, one run per line."""
    shown = [_column(key, runs) for key in columns or (*_CORE, "reason")]
    rows = [[column.header for column in shown], *zip(*(column.cells for column in shown), strict=True)]
    gap = " " * _GAP
    lines = [gap.join(_align(column, cell) for column, cell in zip(shown, row, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def terminal_table(runs: Sequence[RunInfo], columns: Sequence[str] | None, width: int, color: bool) -> str:
    """A table that fits the terminal, with fewer columns if it is narrow; numbers are never cut.

    Not drawn by rich, which takes a millisecond per row.
    """
    shown = [_column(key, runs) for key in columns] if columns else _fitting(runs, width)
    gap = _GAP if _total(shown, _GAP) <= width else 1
    widths = _narrowed(shown, width - gap * (len(shown) - 1))
    header = _terminal_line([column.header for column in shown], shown, widths, gap)
    lines = [_styled(header, _BOLD) if color else header]
    for position, run in enumerate(runs):
        cells = [column.cells[position] for column in shown]
        cells, more = _folded(cells, shown, widths)
        lines.append(_terminal_line(cells, shown, widths, gap, _STYLES.get(run.status, "") if color else ""))
        lines += [_terminal_line(cells, shown, widths, gap) for cells in more]
    return "\n".join(lines)


def _narrowed(shown: Sequence[_Column], room: int) -> list[int]:
    """Column widths; text columns shrink, number columns do not."""
    widths = [column.width for column in shown]
    for key in _GIVING_WAY:
        for position, column in enumerate(shown):
            if column.key == key and sum(widths) > room:
                widths[position] = max(_NARROWEST, widths[position] - (sum(widths) - room))
    return widths


def _folded(cells: Sequence[str], shown: Sequence[_Column], widths: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """The first line of a row, and more lines if a name or path needs them; other texts are cut."""
    first, more = list(cells), []
    for position, (cell, column, width) in enumerate(zip(cells, shown, widths, strict=True)):
        if text.width(cell) <= width:
            continue
        if column.key not in ("name", "path"):
            first[position] = text.cut(cell, width)
            continue
        first[position], *rest = text.chunks(cell, width)
        more += [[part if place == position else "" for place in range(len(cells))] for part in rest]
    return first, more


def _terminal_line(
    cells: Sequence[str], shown: Sequence[_Column], widths: Sequence[int], gap: int, style: str = ""
) -> str:
    parts = []
    for cell, column, width in zip(cells, shown, widths, strict=True):
        blank = " " * (width - text.width(cell))
        if style and column.key == "status":
            cell = _styled(cell, style)
        parts.append(blank + cell if column.key in _RIGHT else cell + blank)
    return (" " * gap).join(parts).rstrip()


def _styled(part: str, style: str) -> str:
    return f"\x1b[{style}m{part}\x1b[0m"


def _fitting(runs: Sequence[RunInfo], width: int) -> list[_Column]:
    shown = [_column(key, runs) for key in _CORE]
    short = _Column("name", "run", [text.printable(layout.short_name(run.name)) for run in runs])
    if _total(shown, _GAP) > width:
        shown[0] = short
    for key in _MORE:
        column = _shortened(_column(key, runs))
        if set(column.cells) != {text.NOTHING} and _total([*shown, column], _GAP) <= width:
            shown.append(column)
    return shown


def _shortened(column: _Column) -> _Column:
    """Shorten long reasons and notes, which must not crowd out other columns."""
    return _Column(column.key, column.header, [text.cut(cell, _LONGEST) for cell in column.cells])


def _total(columns: Sequence[_Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * len(columns)


def _column(key: str, runs: Sequence[RunInfo]) -> _Column:
    cells = [text.printable(_FORMATS[key](run) if key in _FORMATS else _as_it_is(run, key)) for run in runs]
    return _Column(key, HEADERS.get(key, key), cells)


def _as_it_is(run: RunInfo, key: str) -> str:
    value = getattr(run, key)
    return text.NOTHING if value is None else str(value)


def _align(column: _Column, cell: str) -> str:
    blank = " " * (column.width - text.width(cell))
    return blank + cell if column.key in _RIGHT else cell + blank


def _epoch(run: RunInfo) -> str:
    if run.epoch is None:
        return text.NOTHING
    return str(run.epoch) if run.epochs is None else f"{run.epoch}/{run.epochs}"
