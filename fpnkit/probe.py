"""See what a codec leaves for other tasks than its detector's: python -m fpnkit.probe RUN…

Trains small heads on uncompressed features of the run's training images: one finds the places that lie on objects,
others redraw edges and brightness at the finest level's resolution. Then asks them, and the detector, about the decoded
features of the test images, at each quality and without a codec. A head that was trained together with nothing and
knows nothing of the codec sees what a later task would see. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130
interrupted.

Examples:
  python -m fpnkit.probe 20261216_143022 --qualities 0 3 5
  # two codecs, with heads that are quicker to train
  python -m fpnkit.probe 143022 090000 --images 200 --csv probes.csv
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit import cli
from fpnkit.config.load import plain
from fpnkit.errors import ConfigError, UserError
from fpnkit.foundation.files import write_text
from fpnkit.foundation.tables import print_rows
from fpnkit.runs.trained import find_candidates

if TYPE_CHECKING:
    from fpnkit.probes.measure import Seen
    from fpnkit.runs.trained import TrainedRun

_OVERRIDABLE = ("data", "detector", "cache")
_IMAGES = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, lambda options, session: _probe(options), interrupted="interrupted")


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.probe", __doc__)
    parser.add_argument("runs", metavar="RUN", nargs="+", help=f"{cli.RUN}; all of one detector and the same images")
    parser.add_argument(
        "--qualities", metavar="Q", nargs="+", type=float, help="of codecs of several rates (default: all whole ones)"
    )
    cli.add_search(parser)
    parser.add_argument(
        "--images", metavar="N", type=int, default=_IMAGES, help=f"to train the heads on, at most (default: {_IMAGES})"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="also write the table to this file")
    cli.add_base_dir(parser)
    cli.add_settings(parser, text="other data, such as data.test.limit=20")
    return parser


def _probe(options: argparse.Namespace) -> None:
    if options.images < 1:
        raise ConfigError([f"--images: required at least 1, found {options.images}"])
    if options.csv is not None and not options.csv.absolute().parent.is_dir():
        raise UserError(f"--csv {options.csv}: required a directory that exists, found no {options.csv.parent}")
    candidates = find_candidates(options.runs, options.base_dir, options.set, _OVERRIDABLE)
    wanted = [(each, each.chosen(options.qualities)) for each in candidates]
    _require_same(candidates)
    from fpnkit.probes.session import probe  # torch only after the arguments have been checked

    rows = probe(wanted, options.search, options.images)
    header, cells = _table(rows)
    print_rows(header, cells)
    if options.csv is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *cells])
        write_text(options.csv, text.getvalue())


def _require_same(candidates: Sequence[TrainedRun]) -> None:
    """One set of probes serves all."""
    first, *others = candidates
    for other in others:
        for key in ("detector", "data"):
            if plain(first.config)[key] != plain(other.config)[key]:
                raise UserError(f"runs: required the same {key} in all, found another in {other.path.name}")


def _table(rows: Sequence[Seen]) -> tuple[list[str], list[list[str]]]:
    from fpnkit.probes.tasks import PROBES

    names = list(rows[0].scores)
    header = ["codec", "run", "quality", "bpp", "mAP", *(PROBES[name].title for name in names), "feature SNR, dB"]
    return header, [
        [
            row.codec,
            row.run or "",
            "" if row.quality is None else f"{row.quality:g}",
            "" if row.bpp is None else f"{row.bpp:.4f}",
            "" if row.map is None else f"{100 * row.map:.1f}",
            *(f"{row.scores[name]:.1f}" for name in names),
            "" if row.snr_db is None else f"{row.snr_db:.1f}",
        ]
        for row in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
