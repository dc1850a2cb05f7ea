"""See where a codec's bits go and what is lost: python -m fpnkit.analyze RUN…

Fills RUN/fpn_analysis/lambda_<value>/ with figures (PNG, PDF), the table behind each (CSV), and index.html, which shows
them in order. With several runs, a comparison is written as well, to --output or checkpoints/analysis/<time>. Results
computed earlier from the same checkpoint and images are reused; an interrupted analysis continues where it stopped.
Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted.

Examples:
  # a run, found by the time in its name
  python -m fpnkit.analyze 20261216_143022
  # two runs beside each other, on test images
  python -m fpnkit.analyze 143022 090000 --split test --images 50 --output comparison
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit import cli
from fpnkit.errors import ConfigError, RunError
from fpnkit.foundation import clock
from fpnkit.runs import layout
from fpnkit.runs.trained import find_candidates

if TYPE_CHECKING:
    from fpnkit.analysis.report import AnalysisResult

_OVERRIDABLE = ("data", "detector", "cache")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, lambda options, session: print(_analyze(options)), interrupted=cli.GOES_ON)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.analyze", __doc__)
    parser.add_argument("runs", metavar="RUN", nargs="+", help=cli.RUN)
    parser.add_argument("--images", metavar="N", type=int, default=20, help="how many of the set (default: 20)")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="which images (default: val)")
    parser.add_argument(
        "--quality", metavar="Q", type=float, help="of codecs of several rates (default: the middle of the curve)"
    )
    parser.add_argument("--sensitivity", action="store_true", help="noise on one level at a time; takes a while")
    parser.add_argument(
        "--small", action="store_true", help="as during training: no feature statistics, figures as PNG only"
    )
    parser.add_argument("--dark", action="store_true", help="figures and page for a dark background")
    parser.add_argument("--output", metavar="DIR", type=Path, help="output directory instead of the usual one")
    cli.add_device(parser)
    cli.add_base_dir(parser)
    cli.add_settings(parser, text="other data, such as data.test.limit=20")
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.images < 1:
        raise ConfigError([f"--images: required at least 1, found {options.images}"])
    for path in filter(None, (options.output, *(options.output.parents if options.output else ()))):
        if path.exists() and not path.is_dir():
            raise RunError(f"--output {options.output}: required a directory, found the file {path}")


def _analyze(options: argparse.Namespace) -> Path:
    """Return the page to open."""
    _check(options)
    candidates = find_candidates(options.runs, options.base_dir, options.set, _OVERRIDABLE)
    # torch only after the arguments have been checked
    from fpnkit.analysis.report import INDEX, analyze, default_directory
    from fpnkit.analysis.subject import load_subjects

    device = cli.measuring_device(options)
    subjects = load_subjects(candidates, options.split, options.images, options.quality, device)
    alone = len(subjects) == 1
    analyzed: list[AnalysisResult] = []
    for subject in subjects:
        usual = default_directory(subject.run, subject.lmbda, options.split)
        directory = options.output.absolute() if alone and options.output else usual
        chosen = {"sensitivity": options.sensitivity, "small": options.small, "dark": options.dark}
        analyzed.append(analyze(subject, directory, **chosen))
    if alone:
        return analyzed[0].directory / INDEX
    from fpnkit.analysis.across import compare

    default = layout.home() / "checkpoints" / "analysis" / clock.stamp(clock.now())
    directory = (options.output or default).absolute()
    compare(subjects, analyzed, directory, dark=options.dark)
    return directory / INDEX


if __name__ == "__main__":
    sys.exit(main())
