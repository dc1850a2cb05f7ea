"""`fpnkit COMMAND …`, the same as `python -m fpnkit.COMMAND …`."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from fpnkit import __version__, cli
from fpnkit.errors import UserError

COMMANDS = {
    "init": "begin a project: configs, notebooks and a place for runs",
    "train": "train a codec on a detector's feature pyramids, or a detector",
    "sweep": "train one run per lambda and seed; typed again, go on",
    "evaluate": "measure trained codecs with real bitstreams",
    "anchors": "measure JPEG, WebP, AVIF, JPEG XL, HEVC, VVC and features without a learned codec",
    "rd": "rate and accuracy of runs and anchors: table, figure, BD-rates",
    "analyze": "see where the bits go and what is lost",
    "probe": "see what a codec leaves for other tasks",
    "runs": "list, show, compare, annotate and tidy runs",
    "keys": "every key of a config: type, default, range, meaning",
    "detectors": "try a detector of your own before it is trusted",
    "bitstream": "code images into files, decode and inspect them",
    "boxes": "from coded files to what the detector finds in them",
}
_PACKAGES = ("anchors", "bitstream", "detectors", "runs")  # their command stands in `__main__`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    if "_ARGCOMPLETE" in os.environ:
        return _complete()
    name, *others = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name == "--version":
        print(f"fpnkit {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"fpnkit {name}: required one of {', '.join(COMMANDS)}, found {name}{hint}", file=sys.stderr)
        return UserError.exit_code
    cli.called_as = f"fpnkit {name}"
    try:
        return _command(name)(others)
    finally:
        cli.called_as = None


def _command(name: str) -> Callable[[Sequence[str]], int]:
    module = import_module(f"fpnkit.{name}.__main__" if name in _PACKAGES else f"fpnkit.{name}")
    found: Callable[[Sequence[str]], int] = module.main
    return found


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fpnkit COMMAND …",
            "",
            "A lab bench for compressing the feature pyramids of object detectors.",
            "",
            *lines,
            "",
            "fpnkit COMMAND --help says more; fpnkit --version; python -m fpnkit.COMMAND is the same command.",
        ]
    )


def _complete() -> int:
    """Words for the shell's tab key; the environment says where the line stands (see argcomplete)."""
    words = os.environ.get("COMP_LINE", "").split()
    if len(words) > 1 and words[1] in COMMANDS:
        os.environ["_ARGCOMPLETE"] = "2"  # the command's own words begin behind its name
        return _command(words[1])([])
    import argparse

    import argcomplete

    parser = argparse.ArgumentParser("fpnkit")
    parser.add_argument("command", choices=list(COMMANDS))
    argcomplete.autocomplete(parser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
