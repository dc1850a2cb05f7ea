"""A table: sorted by any column, in pages, with one row chosen and, where asked for, any number marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import anywidget
import traitlets

PAGE = 25  # rows
_HERE = Path(__file__).parent

Item = TypeVar("Item")


@dataclass(frozen=True)
class Column(Generic[Item]):
    """What a column shows of an item, and what it is sorted by; None is unknown."""

    key: str
    label: str
    show: Callable[[Item], str]
    by: Callable[[Item], Any]
    right: bool = False  # a number


class Table(anywidget.AnyWidget, Generic[Item]):
    """Shows the items that `show` is given; `chosen` and `marked` can be observed.

    `name` is what rows are, in plural. Only the page that is shown is made into text.
    """

    _esm = _HERE / "table.js"
    _css = _HERE / "table.css"
    name = traitlets.Unicode().tag(sync=True)
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    marks = traitlets.Bool().tag(sync=True)  # whether there are boxes to mark rows
    marked = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sort = traitlets.Unicode().tag(sync=True)  # a column's key; empty: as the items come
    descending = traitlets.Bool().tag(sync=True)
    page = traitlets.Int().tag(sync=True)
    pages = traitlets.Int(1).tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)
    drawn = traitlets.Int().tag(sync=True)  # counts up when everything else is in place

    def __init__(
        self,
        name: str,
        columns: Sequence[Column[Item]],
        identify: Callable[[Item], str],
        *,
        page_rows: int = PAGE,
        marks: bool = False,
        badge: Callable[[Item], str] | None = None,
    ) -> None:
        """`identify` gives a text that stays the same; `badge` the color of the column with the key `status`."""
        self._columns, self._identify, self._badge = tuple(columns), identify, badge
        self._items: Sequence[Item] = ()
        self._page_rows = page_rows
        self._by_id: dict[str, Item] = {}
        super().__init__(name=name, marks=marks, columns=_described(self._columns))
        self.observe(lambda _: self._draw(first=True), ["sort", "descending"])
        self.observe(lambda _: self._draw(), ["page", "chosen", "marked"])

    def show(self, items: Sequence[Item], columns: Sequence[Column[Item]] | None = None) -> None:
        """Replace the items; the page, the order and what is chosen and marked stay where they can."""
        self._items, self._by_id = items, {self._identify(item): item for item in items}
        if columns is not None:
            self._columns = tuple(columns)
        self._draw()

    @property
    def chosen_item(self) -> Item | None:
        """What a person picked, if it is still there."""
        return self._by_id.get(self.chosen)

    @property
    def marked_items(self) -> list[Item]:
        """In the order of marking."""
        return [self._by_id[each] for each in self.marked if each in self._by_id]

    @property
    def ordered(self) -> Sequence[Item]:
        """All items in the order of the table; unknown values last."""
        column = next((each for each in self._columns if each.key == self.sort), None)
        if column is None:
            return self._items
        keyed = [(_key(column.by(item)), item) for item in self._items]
        known = sorted((pair for pair in keyed if pair[0] is not None), key=_first, reverse=self.descending)
        return [item for _, item in known] + [item for key, item in keyed if key is None]

    def turn_to(self, item: Item | None) -> None:
        """Choose an item, and show the page that it is on."""
        self.chosen = "" if item is None else self._identify(item)
        places = [at for at, other in enumerate(self.ordered) if self._identify(other) == self.chosen]
        if places:
            self.page = places[0] // self._page_rows

    def mark(self, items: Sequence[Item]) -> None:
        """Mark these, and no others of those that are shown; those that a search hides stay marked."""
        wanted = [self._identify(item) for item in items]
        if set(wanted) != {each for each in self.marked if each in self._by_id}:
            hidden = [each for each in self.marked if each not in self._by_id]
            self.marked = [*hidden, *wanted]

    def _draw(self, *, first: bool = False) -> None:
        pages = max(1, -(-len(self._items) // self._page_rows))
        page = 0 if first else max(0, min(self.page, pages - 1))
        ordered = self.ordered
        first_shown = page * self._page_rows
        shown = ordered[first_shown : first_shown + self._page_rows]
        with self.hold_sync():
            self.columns, self.pages, self.page = _described(self._columns), pages, page
            self.rows = [self._row(item) for item in shown]
            end = first_shown + len(shown)
            self.place = f"{first_shown + 1:,} to {end:,} of {len(ordered):,}" if shown else f"no {self.name}"
            self.drawn += 1

    def _row(self, item: Item) -> dict[str, Any]:
        name, *cells = (column.show(item) for column in self._columns)
        badge = None if self._badge is None else self._badge(item)
        return {"id": self._identify(item), "name": name, "cells": cells, "badge": badge}


def _described(columns: Sequence[Column[Any]]) -> list[dict[str, Any]]:
    return [{"key": each.key, "label": each.label, "right": each.right} for each in columns]


def _first(pair: tuple[Any, object]) -> Any:
    return pair[0]


def _key(value: Any) -> Any:
    """None for what is unknown."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.casefold() if isinstance(value, str) else value
