"""Tables of text: for a terminal, or aligned for a pipe."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = 2


@dataclass(frozen=True)
class Rows:
    """A table of texts."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of plain text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gap = " " * _GAP
    return [gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print cells below a header, folded if the terminal is too narrow."""
    if not sys.stdout.isatty():
        print("\n".join(align([header, *rows])))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
