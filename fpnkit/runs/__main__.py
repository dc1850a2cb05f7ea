"""`python -m fpnkit.runs`: list runs, or show everything about one.

python -m fpnkit.runs
python -m fpnkit.runs --base-dir checkpoints/detection --sort best_loss
python -m fpnkit.runs --show-details 20261216_143022
"""

import argparse
import csv
import difflib
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fpnkit.errors import FpnkitError, RunError
from fpnkit.runs import clock, layout, text
from fpnkit.runs.details import Section, run_details
from fpnkit.runs.files import to_json
from fpnkit.runs.store import COLUMNS, RunInfo, list_runs
from fpnkit.runs.table import plain_table, print_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one message on stderr."""
    # Names of directories are bytes; one that the terminal's encoding cannot show must not end the list.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        if options.show_details is not None:
            _show_details(options)
        else:
            _list(options)
        sys.stdout.flush()
    except FpnkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fpnkit.runs", description="List training runs, newest first.")
    parser.add_argument("--base-dir", type=Path, help="holds the runs (default: checkpoints/fpn_compression)")
    parser.add_argument("--show-details", metavar="RUN", help="a path, or a unique part of a name")
    parser.add_argument("--sort", metavar="COL", help="smallest first (default: newest first)")
    parser.add_argument("--columns", metavar="COL", nargs="+", help=f"of {', '.join(COLUMNS)}")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="all columns, for programs")
    form.add_argument("--csv", action="store_true", help="all columns, for spreadsheets")
    return parser


def _list(options: argparse.Namespace) -> None:
    columns = _columns(options.columns)
    sort = _column(options.sort) if options.sort is not None else None
    base_dir = options.base_dir or layout.default_base_dir("fpn_compression")
    missing = options.base_dir is None and not base_dir.exists()
    runs = [] if missing else list_runs(base_dir)
    if sort is not None:
        runs = sorted(runs, key=lambda run: _order(getattr(run, sort)))
    if options.json:
        rows = [{key: _value(run, key) for key in columns or COLUMNS} for run in runs]
        print(json.dumps(to_json(rows), indent=1))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns or COLUMNS)
        writer.writerows([_cell(_value(run, key)) for key in columns or COLUMNS] for run in runs)
    elif not runs:
        why = f"{base_dir} does not exist" if missing else f"{base_dir} has no runs"
        print(f"no runs yet: {text.printable(why)}")
    elif sys.stdout.isatty():
        from rich.console import Console

        print_table(runs, columns, base_dir, Console())
    else:
        print(plain_table(runs, columns))


def _show_details(options: argparse.Namespace) -> None:
    run_dir = layout.find_run(options.show_details, options.base_dir or layout.default_base_dir("fpn_compression"))
    sections = run_details(run_dir)
    if options.csv:
        raise RunError("--csv: is for the list; --show-details goes with --json")
    if options.json:
        print(json.dumps({section.title: [list(row) for row in section.rows] for section in sections}, indent=1))
    elif sys.stdout.isatty():
        _print_sections(sections)
    else:
        print("\n".join(_plain_lines(sections)))


def _plain_lines(sections: list[Section]) -> list[str]:
    width = _label_width(sections)
    lines = []
    for section in sections:
        lines.append(section.title)
        lines += [f"  {label:<{width}}  {value}" for label, value in section.rows]
    return lines


def _print_sections(sections: list[Section]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    width = _label_width(sections)
    for section in sections:
        console.print(Text(section.title, "bold"), soft_wrap=True)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(min_width=width + 2, no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in section.rows:
            table.add_row(Text(f"  {label}", "dim"), Text(value))
        console.print(table)


def _label_width(sections: list[Section]) -> int:
    return max(len(label) for section in sections for label, _ in section.rows)


def _columns(names: list[str] | None) -> list[str] | None:
    """Column names, given apart or with commas between."""
    if names is None:
        return None
    return [_column(name) for part in names for name in part.split(",") if name]


def _column(name: str) -> str:
    known = {column: column for column in COLUMNS} | {"lambda": "lmbda"}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise RunError(f"column {name!r}: unknown{hint}; there are {', '.join(COLUMNS)}")
    return known[name]


def _order(value: Any) -> tuple[bool, Any]:
    """What is not known comes last, NaN too."""
    if value is None or value != value:
        return True, ""
    return False, str(value) if isinstance(value, Path) else value


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


if __name__ == "__main__":
    sys.exit(main())
