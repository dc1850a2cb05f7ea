"""Code images into files that a colleague can decode: python -m fpnkit.bitstream encode RUN IMAGE… -o DIR

`encode` needs the run and its detector, `decode` the run's directory with its best model and nothing else, `inspect`
only the files. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted. Nothing is overwritten, and every
file that appears is complete.

Examples:
  python -m fpnkit.bitstream encode 20261216_143022 a.jpg b.jpg -o coded
  # a codec of several rates, at the highest quality that fits
  python -m fpnkit.bitstream encode 20261217_090000 a.jpg b.jpg -o coded --target-kb 5
  python -m fpnkit.bitstream decode 20261216_143022 coded/*.fpn -o features
  python -m fpnkit.bitstream inspect coded/*.fpn
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fpnkit import cli, container
from fpnkit.bitstream.inspection import inspect_files
from fpnkit.bitstream.targets import one_by_one, plan
from fpnkit.bitstream.wanted import Target, Wanted
from fpnkit.foundation.files import make_directory
from fpnkit.foundation.help import Paragraphs, examples_of
from fpnkit.runs.run import find


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(_parser(), arguments, _run)


def _run(options: argparse.Namespace, session: cli.Session) -> None:
    base_dir = cli.base_dir(options)
    if options.action == "inspect":
        inspect_files(options.inputs, base_dir, as_json=options.json)
        return
    encoding = options.action == "encode"
    targets = plan(options.inputs, options.output, container.SUFFIX if encoding else ".safetensors")
    checkpoint = find(options.run, base_dir).best_checkpoint()
    if not encoding:
        for path in targets:
            container.read_file(path)
    from fpnkit.bitstream import transcode  # torch only after the arguments have been checked

    device = cli.measuring_device(options)
    if encoding:
        work = transcode.encoder(checkpoint, list(targets), _wanted(options), device)
    else:
        work = transcode.decoder(checkpoint, list(targets), device, options.max_values)
    make_directory(options.output)
    one_by_one(targets, work)


def _wanted(options: argparse.Namespace) -> Wanted:
    target = Target(options.target_bpp, "bpp") if options.target_bpp else None
    target = Target(options.target_kb, "KB") if options.target_kb else target
    return Wanted(options.quality, target, options.search)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.bitstream", __doc__)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    texts = {
        "encode": ("IMAGE", "image files, turned upright by their Exif orientation → DIR/<name>.fpn"),
        "decode": ("FILE", ".fpn files → DIR/<name>.safetensors: float32 levels (1, channel, height, width)"),
        "inspect": ("FILE", "what is in .fpn files, and which run made them"),
    }
    for name, (inputs, text) in texts.items():
        action = actions.add_parser(
            name, help=text, description=text, epilog=examples_of(parser, name), formatter_class=Paragraphs
        )
        if name != "inspect":
            action.add_argument("run", metavar="RUN", help=cli.RUN)
            action.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="created if missing")
            cli.add_device(action)
        if name == "encode":
            _add_rate(action)
        if name == "decode":
            cli.add_max_values(action)
        action.add_argument("inputs", metavar=inputs, nargs="+", type=Path)
        cli.add_base_dir(action)
        if name == "inspect":
            action.set_defaults(only_prints=True)
            action.add_argument("--json", action="store_true", help="for programs")
    return parser


def _add_rate(parser: argparse.ArgumentParser) -> None:
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--quality", metavar="Q", type=float, help="on the curve of a codec of several rates")
    rate.add_argument(
        "--target-bpp", metavar="X", type=cli.positive, help="the highest quality at which a file has this rate or less"
    )
    rate.add_argument("--target-kb", metavar="X", type=cli.positive, help="the same for its size, in 1000 bytes")
    cli.add_search(parser)


if __name__ == "__main__":
    sys.exit(main())
