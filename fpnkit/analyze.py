"""See where a codec's bits go and what is lost: python -m fpnkit.analyze RUN…

Fills RUN/fpn_analysis/lambda_<value>/ with figures (PNG, PDF), the table behind each (CSV), and index.html, which shows
them in order. With several runs, a comparison is written as well, to --output or checkpoints/analysis/<time>. What was
computed before from the same checkpoint and images is used again; an interrupted analysis goes on where it stopped.
Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.config.load import plain
from fpnkit.errors import ConfigError, FpnkitError, RunError
from fpnkit.runs import clock, layout
from fpnkit.runs.candidate import Candidate, find_candidates

if TYPE_CHECKING:
    from fpnkit.report.run import Analysed
    from fpnkit.report.subject import Subject

log = logging.getLogger("fpnkit.analyze")  # the name of the module is `__main__` when it runs as a command

INTERRUPTED = 130
_OVERRIDABLE = ("data", "detector", "cache")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; → exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _check(options)
        candidates = find_candidates(options.runs, options.base_dir, options.set, _OVERRIDABLE)
        print(_analyze(candidates, options))
        return 0
    except FpnkitError as error:
        print(f"fpnkit.analyze: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("fpnkit.analyze: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m fpnkit.analyze", description=description, epilog=epilog)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a path or a unique part of a name")
    parser.add_argument("--images", metavar="N", type=int, default=20, help="spread over the set (default: 20)")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="which images (default: val)")
    parser.add_argument("--sensitivity", action="store_true", help="noise on one level at a time; takes a while")
    parser.add_argument(
        "--small", action="store_true", help="as while training: without features, figures as PNG alone"
    )
    parser.add_argument("--dark", action="store_true", help="figures and page for a dark background")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where to, in place of the usual directory")
    parser.add_argument("--base-dir", metavar="DIR", type=Path, help="folder that directly holds the runs")
    parser.add_argument(
        "--set", metavar="KEY.PATH=VALUE", action="append", default=[], help="other data, such as data.test.limit=20"
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.images < 1:
        raise ConfigError([f"--images: required at least 1, found {options.images}"])
    for path in filter(None, (options.output, *(options.output.parents if options.output else ()))):
        if path.exists() and not path.is_dir():
            raise RunError(f"--output {options.output}: required a directory, found the file {path}")


def _analyze(candidates: Sequence[Candidate], options: argparse.Namespace) -> Path:
    """→ the page to look at."""
    from fpnkit.report.run import (
        INDEX,
        analyse,
        default_directory,
    )  # torch only once the arguments are known to be right

    subjects = _subjects(candidates, options)
    alone = len(subjects) == 1
    analysed: list[Analysed] = []
    for subject in subjects:
        usual = default_directory(subject.run, subject.trained.config, options.split)
        directory = options.output.absolute() if alone and options.output else usual
        chosen = {"sensitivity": options.sensitivity, "small": options.small, "dark": options.dark}
        analysed.append(analyse(subject, directory, **chosen))
    if alone:
        return analysed[0].directory / INDEX
    from fpnkit.report.across import compare

    default = layout.home() / "checkpoints" / "analysis" / clock.stamp(clock.now())
    directory = (options.output or default).absolute()
    compare(subjects, analysed, directory, dark=options.dark)
    return directory / INDEX


def _subjects(candidates: Sequence[Candidate], options: argparse.Namespace) -> list[Subject]:
    """All of them before anything long starts; runs with the same detector and images share a bench."""
    from fpnkit.report.subject import Bench, build_bench, feature_facts, load_subject

    benches: dict[str, Bench] = {}
    subjects = []
    for candidate in candidates:
        config = plain(candidate.config)
        key = str((config["detector"], config["data"], config["seed"]))
        if key not in benches:
            benches[key] = build_bench(candidate.config, options.split, options.images)
        subjects.append(load_subject(candidate.path, benches[key]))
    first = subjects[0]
    for other in subjects[1:]:
        if feature_facts(other.bench) != feature_facts(first.bench):
            raise RunError(
                f"runs to compare: required one detector and the same images, found {_describe(first)} in "
                f"{first.run.name} and {_describe(other)} in {other.run.name}"
            )
    return subjects


def _describe(subject: Subject) -> str:
    bench = subject.bench
    names = f"{bench.detector.name} ({bench.fingerprint[:8]}), {len(bench.indices)} images"
    return f"{names} of {bench.images.name} ({bench.images_id[:8]})"


if __name__ == "__main__":
    sys.exit(main())
