"""The points of an R-D figure in numbers, each with a key by which figure and table mean the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fpnkit.foundation.text import NOTHING
from fpnkit.ratedist.points import Point, RdPoints
from fpnkit.ratedist.rows import column_name, point_rows
from fpnkit.widgets.common.table import Column, Table

_PAGE = 15  # rows: about as high as the figure


@dataclass(frozen=True)
class PointRow:
    """A point of a curve and its cells."""

    key: str
    curve: str
    point: Point
    cells: tuple[str, ...]


def identified(points: RdPoints, y: str) -> list[PointRow]:
    """The rows of `point_rows` with keys that stay the same when other points come or go."""
    found = [(curve.name, point) for curve in points.curves for point in curve.points]
    rows = point_rows(points, y).rows
    return [PointRow(_key(*each), *each, row) for each, row in zip(found, rows, strict=True)]


def _key(curve: str, point: Point) -> str:
    return f"{curve}\n{point.path or ''}\n{point.quality}"


class PointTable(Table[PointRow]):
    """What is plotted comes first; further columns are a scroll away."""

    def __init__(self) -> None:
        super().__init__("points", (), lambda row: row.key, page_rows=_PAGE)


def arranged(points: RdPoints, x: str, y: str) -> tuple[list[PointRow], list[Column[PointRow]]]:
    """Rows and columns for `PointTable.show`."""
    header = point_rows(points, y).header
    first = [header[0], *(column_name(key) for key in (x, y) if column_name(key) in header)]
    order = sorted(range(len(header)), key=lambda at: first.index(header[at]) if header[at] in first else len(first))
    return identified(points, y), [_column(at, header[at]) for at in order]


def _column(at: int, name: str) -> Column[PointRow]:
    return Column(name, name, _cell(at), lambda row: _sorted_by(row.cells[at]), right=_is_number(name))


def _cell(at: int) -> Callable[[PointRow], str]:
    return lambda row: row.cells[at]


def _is_number(name: str) -> bool:
    return name not in ("curve", "run", "status")


def _sorted_by(cell: str) -> Any:
    """Numbers as numbers, whatever interval or unit follows them."""
    if cell == NOTHING:
        return None
    try:
        return False, float(cell.split()[0]), ""
    except ValueError:
        return True, 0.0, cell.casefold()
