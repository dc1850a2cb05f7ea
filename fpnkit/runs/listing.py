"""Print the list and the details for a terminal, a pipe, a program or a spreadsheet."""

import argparse
import csv
import difflib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpnkit.errors import RunError
from fpnkit.foundation import clock, text
from fpnkit.foundation.files import to_json
from fpnkit.runs import layout
from fpnkit.runs.store import COLUMNS, RunInfo, list_runs
from fpnkit.runs.table import HEADERS, plain_table, terminal_table

if TYPE_CHECKING:
    from fpnkit.runs.details import DetailSection

_NARROWEST = 15  # column of labels, so that sections with short ones stand in line


def print_list(options: argparse.Namespace) -> None:
    """Print the runs of a base directory, filtered, sorted and formatted as requested."""
    columns = _columns(options.columns)
    sort = _column(options.sort) if options.sort is not None else None
    base_dir = options.base_dir or layout.default_base_dir("fpn_compression")
    missing = options.base_dir is None and not base_dir.exists()
    runs = [] if missing else list_runs(base_dir)
    found = len(runs)
    if options.query is not None:
        from fpnkit.runs.query import select

        runs = select(runs, options.query)
    if sort is not None:
        runs = _sorted(runs, sort, options.reverse)
    elif options.reverse:
        runs.reverse()
    if options.json:
        rows = [{key: _value(run, key) for key in columns or COLUMNS} for run in runs]
        print(json.dumps(to_json(rows), indent=1))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns or COLUMNS)
        writer.writerows([_cell(_value(run, key)) for key in columns or COLUMNS] for run in runs)
    elif found and not runs:
        print(f"none of {found} runs matches the query")
    elif not runs:
        why = f"{base_dir} does not exist" if missing else f"{base_dir} has no runs"
        print(f"no runs yet: {text.printable(why)}")
    elif sys.stdout.isatty():
        color = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        print(terminal_table(runs, columns, shutil.get_terminal_size().columns, color))
        print(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} in {text.printable(base_dir)}")
    else:
        print(plain_table(runs, columns))


def print_details(options: argparse.Namespace) -> None:
    """Everything about one run."""
    from fpnkit.runs.details import run_details

    run_dir = layout.find_run(options.show_details, options.base_dir or layout.default_base_dir("fpn_compression"))
    sections = run_details(run_dir)
    if options.csv:
        raise RunError("--csv: applies to the list; use --json with --show-details")
    if options.json:
        print(json.dumps({section.title: [list(row) for row in section.rows] for section in sections}, indent=1))
    elif sys.stdout.isatty():
        _print_sections(sections)
    else:
        print("\n".join(_plain_lines(sections)))


def _plain_lines(sections: "list[DetailSection]") -> list[str]:
    lines = []
    for section in sections:
        width = _label_width(section)
        lines.append(section.title)
        lines += [f"  {label:<{width}}  {value}" for label, value in section.rows]
    return lines


def _print_sections(sections: "list[DetailSection]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for section in sections:
        console.print(Text(section.title, "bold"), soft_wrap=True)
        if section.title == "Commands":  # whole, so that they can be copied: a folded line has breaks in it
            for label, value in section.rows:
                console.print(Text(f"  {label}", "dim"))
                console.print(Text(f"    {value}"), soft_wrap=True)
            continue
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(min_width=_label_width(section) + 2, no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in section.rows:
            table.add_row(Text(f"  {label}", "dim"), Text(value))
        console.print(table)


def _label_width(section: "DetailSection") -> int:
    return max(_NARROWEST, *(len(label) for label, _ in section.rows))


def _columns(names: list[str] | None) -> list[str] | None:
    """Column names, separated by spaces or commas."""
    if names is None:
        return None
    return [_column(name) for part in names for name in part.split(",") if name]


def _column(name: str) -> str:
    known = {header.lower(): column for column, header in HEADERS.items()} | {column: column for column in COLUMNS}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise RunError(f"column {name!r}: unknown{hint}; there are {', '.join(COLUMNS)}")
    return known[name]


def _sorted(runs: Sequence[RunInfo], column: str, reverse: bool) -> list[RunInfo]:
    """Unknown values and NaN come last in either order."""

    def value(run: RunInfo) -> Any:
        found = getattr(run, column)
        return str(found) if isinstance(found, Path) else found

    known = [run for run in runs if value(run) is not None and value(run) == value(run)]
    unknown = [run for run in runs if value(run) is None or value(run) != value(run)]
    return sorted(known, key=value, reverse=reverse) + unknown


def _value(run: RunInfo, key: str) -> Any:
    """As JSON has it."""
    value = getattr(run, key)
    if isinstance(value, datetime):
        return clock.to_text(value)
    return str(value) if isinstance(value, Path) else value


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(text.printable(item) for item in value)
    return "" if value is None else text.printable(str(value))
