"""List training runs, newest first, or do something with them. RUN is a path or a unique part of a name.

Examples:
  python -m fpnkit.runs --base-dir checkpoints/detection --sort best_loss
  python -m fpnkit.runs --query "lmbda < 1e-3 and status == 'finished'"
  python -m fpnkit.runs --show-details 20261216_143022
  python -m fpnkit.runs diff 20261216_143022 20261217_090000
  python -m fpnkit.runs note 143022 "the good one"
  python -m fpnkit.runs tag 143022 paper --remove draft
  python -m fpnkit.runs archive 20261216_143022
  python -m fpnkit.runs trash 143022 090000
  python -m fpnkit.runs restore 143022
  python -m fpnkit.runs purge 143022
  python -m fpnkit.runs prune --keep-best 2
  python -m fpnkit.runs tensorboard 20261216_143022
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fpnkit import cli
from fpnkit.errors import RunError
from fpnkit.foundation.help import Paragraphs, examples_of
from fpnkit.runs.listing import print_details, print_list
from fpnkit.runs.store import COLUMNS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # Directory names are bytes; one that the terminal's encoding cannot show must not end the list.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return cli.run(_parser(), arguments, _run, prefix="")


def _run(options: argparse.Namespace, session: cli.Session) -> None:
    if options.action is None:
        if options.show_details is not None:
            return print_details(options)
        print_list(options)
        return None if options.json or options.csv else _print_queue(cli.base_dir(options))
    from fpnkit.runs import actions

    given = [name for name in _OF_THE_LIST if getattr(options, name)]
    if given:
        raise RunError(f"--{given[0].replace('_', '-')}: applies to the list, not to {options.action}")
    return getattr(actions, options.action)(options, cli.base_dir(options))  # type: ignore[no-any-return]


def _print_queue(base_dir: Path) -> None:
    """What a scheduler has that is no run yet."""
    if not (base_dir / ".launch").is_dir():
        return
    from fpnkit.launch.queue import queued  # not for those who have never launched anything

    for each in queued(base_dir):
        print(f"queued: {each.describe}")


_OF_THE_LIST = ("show_details", "sort", "reverse", "columns", "query", "json", "csv")


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.runs", __doc__)
    parser.set_defaults(only_prints=True)
    place = "holds the runs (default: checkpoints/fpn_compression)"
    parser.add_argument("--base-dir", type=Path, help=place)
    parser.add_argument("--show-details", metavar="RUN", help="everything about one run")
    parser.add_argument("--query", metavar="EXPR", help="such as \"lmbda < 1e-3 and status == 'finished'\"")
    parser.add_argument("--sort", metavar="COL", help="smallest first (default: newest first)")
    parser.add_argument("--reverse", action="store_true", help="reverse the order")
    parser.add_argument("--columns", metavar="COL", nargs="+", help=f"of {', '.join(COLUMNS)}")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="all columns, for programs")
    form.add_argument("--csv", action="store_true", help="all columns, for spreadsheets")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(
            name, help=text, description=text, epilog=examples_of(parser, name), formatter_class=Paragraphs
        )
        added.add_argument("--base-dir", type=Path, default=argparse.SUPPRESS, help=place)
        return added

    diff = action("diff", "the settings, versions and results in which runs differ")
    diff.add_argument("runs", metavar="RUN", nargs="+")
    note = action("note", "show a run's note, or add a line to it; lists show the first")
    note.add_argument("run", metavar="RUN")
    note.add_argument("text", metavar="TEXT", nargs="*")
    tag = action("tag", "show a run's tags, add some, remove some")
    tag.add_argument("run", metavar="RUN")
    tag.add_argument("tags", metavar="TAG", nargs="*")
    tag.add_argument("--remove", metavar="TAG", nargs="+", default=[])
    archive = action("archive", "pack runs into archive/NAME.tar.gz, verify, then remove their directories")
    archive.add_argument("runs", metavar="RUN", nargs="+")
    trash = action("trash", "move runs into the trash, from which they can be restored")
    trash.add_argument("runs", metavar="RUN", nargs="+")
    restore = action("restore", "restore runs from the trash; without RUN, list what is in it")
    restore.add_argument("runs", metavar="RUN", nargs="*")
    purge = action("purge", "delete runs in the trash (default: all) for good")
    purge.add_argument("runs", metavar="RUN", nargs="*")
    prune = action("prune", "move all but the best runs of each lambda into the trash")
    prune.add_argument("--keep-best", metavar="N", type=int, required=True, help="by best loss, among comparable runs")
    for asking in (purge, prune):
        asking.add_argument("--yes", action="store_true", help="do not ask")
    tensorboard = action("tensorboard", "write metrics as event files under tb/")
    tensorboard.add_argument("runs", metavar="RUN", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
