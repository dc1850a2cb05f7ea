"""Code images into files that a colleague can decode: python -m fpnkit.bitstream encode RUN IMAGE… -o DIR

python -m fpnkit.bitstream encode 20261216_143022 a.jpg b.jpg -o coded
python -m fpnkit.bitstream decode 20261216_143022 coded/*.fpn -o features
python -m fpnkit.bitstream inspect coded/*.fpn

`encode` needs the run and its detector, `decode` the run's directory with its best model and nothing else, `inspect`
only the files. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted. Nothing is overwritten, and every
file that appears is complete.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fpnkit import container
from fpnkit.bitstream.inspection import inspect_files
from fpnkit.bitstream.targets import make_folder, one_by_one, plan
from fpnkit.errors import FpnkitError
from fpnkit.runs import layout
from fpnkit.runs.run import find

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; → exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
        sys.stdout.flush()
        return 0
    except FpnkitError as error:
        _tell(str(error), error)
        return error.exit_code
    except KeyboardInterrupt as error:
        _tell("interrupted", error)
        return INTERRUPTED
    except BrokenPipeError as error:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if options.action == "inspect":
            return 0
        _tell("standard output was closed", error)
        return FpnkitError.exit_code


def _tell(text: str, error: BaseException) -> None:
    for line in (f"fpnkit.bitstream: {text}", *getattr(error, "__notes__", ())):
        print(line, file=sys.stderr)


def _run(options: argparse.Namespace) -> None:
    base_dir = options.base_dir or layout.default_base_dir("fpn_compression")
    if options.action == "inspect":
        inspect_files(options.inputs, base_dir, as_json=options.json)
        return
    encoding = options.action == "encode"
    targets = plan(options.inputs, options.output, container.SUFFIX if encoding else ".safetensors")
    checkpoint = find(options.run, base_dir).best_checkpoint()
    if not encoding:
        for path in targets:
            container.read_file(path)
    from fpnkit.bitstream import transcode  # torch only once the arguments are known to be right

    work = (transcode.encoder if encoding else transcode.decoder)(checkpoint, list(targets))
    make_folder(options.output)
    one_by_one(targets, work)


def _parser() -> argparse.ArgumentParser:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m fpnkit.bitstream",
        description=description,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    texts = {
        "encode": ("IMAGE", "image files, turned upright by their Exif orientation → DIR/<name>.fpn"),
        "decode": ("FILE", ".fpn files → DIR/<name>.safetensors: float32 levels (1, channel, height, width)"),
        "inspect": ("FILE", "what is in .fpn files, and which run made them"),
    }
    for name, (inputs, text) in texts.items():
        action = actions.add_parser(name, help=text, description=text)
        if name != "inspect":
            action.add_argument("run", metavar="RUN", help="a path or a unique part of a name")
            action.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="made if missing")
        action.add_argument("inputs", metavar=inputs, nargs="+", type=Path)
        action.add_argument("--base-dir", metavar="DIR", type=Path, help="folder that directly holds the runs")
        if name == "inspect":
            action.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
