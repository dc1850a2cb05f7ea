"""Rate and accuracy of trained codecs and anchors: python -m fpnkit.rd RUN…

Prints every point, the rate at 99, 95 and 90 % of the ceiling, BD-rates relative to a curve, doubts, and which lambda
to train next. Only reads files; intervals take a few seconds. Exit codes: 0 done, 1 failed, 2 the input is wrong or
there is nothing to show.

Examples:
  # everything that was evaluated on the same images, compared with HEVC
  python -m fpnkit.rd --bd hevc_input
  # the runs of one sweep, as a figure and a table for a paper
  python -m fpnkit.rd --sweep example_sweep_1f7a09c2 --y map50 --output rd.pdf --csv rd.csv
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fpnkit import cli
from fpnkit.errors import UserError
from fpnkit.foundation import text
from fpnkit.foundation.files import to_json, write_text
from fpnkit.foundation.tables import Rows, print_rows
from fpnkit.launch.sweep import runs_of_sweep
from fpnkit.ratedist.overview import Remarks, compare_all, judge, metrics
from fpnkit.ratedist.points import RATES, RdPoints
from fpnkit.ratedist.resampling import Resampler
from fpnkit.ratedist.rows import (
    bd_rows,
    bd_title,
    dataset_line,
    fitting,
    next_line,
    point_rows,
    share_rows,
    share_title,
)
from fpnkit.ratedist.table import read_points
from fpnkit.runs import layout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(_parser(), arguments, _run)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.rd", __doc__)
    parser.add_argument("runs", metavar="RUN", nargs="*", help=f"{cli.RUN} (default: all)")
    cli.add_base_dir(parser)
    parser.add_argument("--sweep", metavar="ID", help="the runs of a sweep; missing ones are named")
    parser.add_argument(
        "--anchors", metavar="NAME", nargs="+", help="these, `all`, or `none` (default: all on the same images)"
    )
    parser.add_argument("--dataset", metavar="NAME", help="evaluated on (default: what most runs were evaluated on)")
    parser.add_argument("--x", choices=RATES, default="bpp", help="rate (default: bpp)")
    parser.add_argument("--y", metavar="COLUMN", help="such as map, map50, self_map, snr_db.p3 (default: map)")
    parser.add_argument("--bd", metavar="CURVE", help="compare all other curves with this one")
    parser.add_argument("--output", metavar="F", type=Path, help="figure (.png .pdf .svg), with points and origin")
    parser.set_defaults(only_prints=True)
    cli.add_json(parser)
    parser.add_argument("--csv", metavar="F", type=Path, help="the table, one row per point")
    return parser


def _run(options: argparse.Namespace, session: cli.Session) -> None:
    runs, missing = _runs(options)
    points = read_points(runs, anchors=_anchors(options.anchors), dataset=options.dataset)
    y = _metric(points, options.y, missing)
    if options.bd is not None:
        points.curve(options.bd)  # before anything is written
    if options.output is not None:
        from fpnkit.plots.rd_files import save_rd

        files = save_rd(points, options.output, x=options.x, y=y)
        if not options.json:
            print(f"figure: {', '.join(map(str, files))}")
    if options.csv is not None:
        _save_table(points, options.csv)
        if not options.json:
            print(f"table: {options.csv}")
    if options.json:
        _print_json(points, Resampler(options.x, y), options.bd, judge(points, options.x, y, missing))
        return
    _print_points(points, y)
    _print_comparisons(points, Resampler(options.x, y), options.bd)
    judged = judge(points, options.x, y, missing)
    _print_list("Warnings", judged.warnings)
    _print_list("Next", [next_line(found) for found in judged.following])


def _runs(options: argparse.Namespace) -> tuple[list[Path], list[str]]:
    """Run directories, and the missing runs of a sweep."""
    base_dir = cli.base_dir(options)
    if options.sweep is not None:
        if options.runs:
            raise UserError(f"--sweep {options.sweep}: required no RUN beside it, found {options.runs[0]}")
        return runs_of_sweep(base_dir, options.sweep)
    if options.runs:
        return list(dict.fromkeys(layout.find_run(name, base_dir).absolute() for name in options.runs)), []
    try:
        names = sorted(entry.name for entry in os.scandir(base_dir) if layout.is_listed(entry.name))
    except OSError as error:
        raise UserError(f"base directory {base_dir}: cannot be read: {error.strerror}") from error
    return [base_dir / name for name in names if layout.is_run_directory(base_dir / name)], []


def _anchors(given: Sequence[str] | None) -> Sequence[str] | None:
    if given is None or list(given) == ["all"]:
        return None
    return [] if list(given) == ["none"] else list(given)


def _metric(points: RdPoints, y: str | None, missing: Sequence[str]) -> str:
    """The column to compare; raises `UserError` if no point has it."""
    columns = metrics(points, missing)
    if y is not None and y not in columns:
        raise UserError(f"--y {y}: required one of {', '.join(columns)}")
    return y or points.accuracy


def _save_table(points: RdPoints, path: Path) -> None:
    from fpnkit.ratedist.table import frame

    if not path.parent.is_dir():
        raise UserError(f"--csv {path}: required an existing folder, found none at {path.parent}")
    write_text(path, frame(points).to_csv(index=False))


def _print_json(points: RdPoints, sampler: Resampler, bd_with: str | None, judged: Remarks) -> None:
    from fpnkit.ratedist.table import frame

    compared = compare_all(points, sampler, bd_with)
    rows = json.loads(frame(points).to_json(orient="records"))
    content = {
        "dataset": points.dataset,
        "detector": points.detector,
        "y": sampler.y,
        "ceiling": points.ceiling_of(sampler.y),
        "points": rows,
        "rate_at_share": [to_json(asdict(each)) for each in compared.shares],
        "bd_rate": [to_json(asdict(each)) for each in compared.savings],
        "warnings": list(judged.warnings),
        "next": [next_line(found) for found in judged.following],
    }
    print(json.dumps(content, indent=1, allow_nan=False))


def _print_points(points: RdPoints, y: str) -> None:
    if points.dataset is not None:
        print(f"{dataset_line(points, y)}\n")
    rows = point_rows(points, y)
    _print_rows(fitting(rows, shutil.get_terminal_size().columns, points) if sys.stdout.isatty() else rows)


def _print_comparisons(points: RdPoints, sampler: Resampler, bd_with: str | None) -> None:
    compared = compare_all(points, sampler, bd_with)
    if compared.shares:
        print(f"\n{share_title(sampler.x)}")
        _print_rows(share_rows(compared.shares, sampler.x, sampler.y))
    if bd_with is not None:
        print(f"\n{bd_title(bd_with)}")
        if compared.savings:
            _print_rows(bd_rows(compared.savings, sampler.y))
        else:
            print("no other curve is measured")


def _print_rows(rows: Rows) -> None:
    print_rows(rows.header, rows.rows)


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        print("\n".join([f"\n{title}", *(f"  {text.printable(line)}" for line in lines)]))


if __name__ == "__main__":
    sys.exit(main())
