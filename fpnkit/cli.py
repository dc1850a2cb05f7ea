"""Common parts of all commands: parser, signals, logging, messages, exit codes, and the process record.

Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 stopped on request.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.errors import FpnkitError, RunError, UserError
from fpnkit.foundation import guest
from fpnkit.foundation.help import described_parser
from fpnkit.foundation.process_record import Outcome, Reporter
from fpnkit.foundation.signals import EarlyStop
from fpnkit.foundation.steps import counted_by
from fpnkit.foundation.text import printable
from fpnkit.runs import layout

if TYPE_CHECKING:
    import torch

    from fpnkit.config.load import Override

called_as: str | None = None  # `fpnkit train`, where that is what was typed

STOPPED = 130
SLURM = "slurm"
RUN = "a path or a unique part of a name"
GOES_ON = "interrupted; the same command goes on where it stopped"
NOTHING_MEASURED = "dry run: everything is in order; nothing was measured"
_OUTCOMES: dict[int, Outcome] = {0: "finished", UserError.exit_code: "refused", STOPPED: "stopped"}


def command_parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser described by its module's docstring, in which the command stands as it was typed."""
    typed = f"python -m {module}" if called_as is None else called_as
    return described_parser(typed, (doc or "").replace(f"python -m {module}", typed))


def add_base_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--base-dir`."""
    parser.add_argument("--base-dir", metavar="DIR", type=_directory, help="folder that directly holds the runs")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document, for programs")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add `--dry-run`, of commands that measure."""
    parser.add_argument("--dry-run", action="store_true", help="check everything, measure nothing")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`, see `measuring_device`."""
    text = "where networks run (default: cuda if there is one, else cpu)"
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help=text)


def measuring_device(options: argparse.Namespace) -> torch.device:
    """See there. Raises `UserError` for a missing one."""
    from fpnkit.detectors.device import measuring_device  # torch only after the arguments have been checked

    return measuring_device(options.device, "--device")


def add_spreading(parser: argparse.ArgumentParser) -> None:
    """Add `--workers` and `--keep-streams`, of commands that measure many images."""
    workers = "processes that measure side by side (default: one per core, fewer for few images)"
    parser.add_argument("--workers", metavar="N", type=count, help=workers)
    streams = "coded files that stay: all, those of the first 20 images, none (default: all)"
    parser.add_argument("--keep-streams", choices=("none", "some", "all"), default="all", help=streams)


def add_max_values(parser: argparse.ArgumentParser) -> None:
    """Add `--max-values`, of commands that decode."""
    most = "in a file's pyramid, of 12 bytes of memory each (default: 50 million); larger files are refused"
    parser.add_argument("--max-values", metavar="N", type=count, help=most)


def add_settings(parser: argparse.ArgumentParser, flags: Iterable[str] = (), text: str = "sets any other key") -> None:
    """Add `--set`, and flags that each set one config key."""
    from fpnkit.config.flags import FLAGS

    for flag in flags:
        parser.add_argument(flag, metavar="X", dest=flag, help=f"sets {'.'.join(FLAGS[flag])}")
    parser.add_argument("--set", metavar="KEY.PATH=VALUE", action="append", default=[], help=text)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add `--on` and `--slurm`, of commands that train."""
    parser.add_argument(
        "--on", choices=("here", SLURM), default="here", help="slurm: submit to Slurm and return (default: here)"
    )
    parser.add_argument(
        "--slurm",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an option of sbatch, such as partition=gpu; the same as --set slurm.KEY=VALUE",
    )


def positive(text: str) -> float:
    """A number above 0, for `type` of an argument."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add `--search`."""
    parser.add_argument(
        "--search",
        metavar="N",
        type=count,
        help="move the latents of each image N times before they are coded: fewer bits, slower (such as 24)",
    )


def count(text: str) -> int:
    """A whole number above 0, for `type` of an argument."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def given_flags(options: argparse.Namespace) -> dict[str, str]:
    """The typed flags of `add_settings` with their values."""
    return {name: value for name, value in vars(options).items() if name.startswith("--") and value is not None}


def overrides(options: argparse.Namespace) -> list[Override]:
    """Overrides from `--set` and the flags. Raises ConfigError."""
    from fpnkit.config.flags import flag_overrides, slurm_override
    from fpnkit.config.load import parse_override

    of_slurm = list(map(slurm_override, getattr(options, "slurm", [])))
    if of_slurm and options.on != SLURM:
        raise UserError(f"{of_slurm[0].origin}: required --on {SLURM} beside it")
    return [*map(parse_override, options.set), *of_slurm, *flag_overrides(given_flags(options))]


def base_dir(options: argparse.Namespace) -> Path:
    """The folder that directly holds the runs (default: the codecs')."""
    given: Path | None = options.base_dir
    return layout.default_base_dir("fpn_compression") if given is None else given


def log_to_terminal() -> None:
    """Send log messages to stderr without a prefix."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


@dataclass(frozen=True)
class Session:
    """What a command's work gets besides its options."""

    early: EarlyStop
    report: Reporter


def run(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    work: Callable[[argparse.Namespace, Session], int | None],
    *,
    prefix: str | None = None,
    interrupted: str = "interrupted",
) -> int:
    """Do the work of a command and return its exit code.

    `work` returns None for 0. An FpnkitError becomes one message followed by its notes; other errors propagate.
    `prefix` precedes messages (default: the module's name). The parser default `only_prints` says that nothing is lost
    if stdout is closed early, for example by `head`.
    """
    prefix = f"{parser.prog.removeprefix('python -m ')}: " if prefix is None else prefix
    own = guest.current()
    report = Reporter() if own is None else Reporter(own.argv, own.take)
    only_prints = False

    def end(outcome: Outcome, text: str, error: BaseException) -> None:
        report.end(outcome, text)
        for told in (f"{prefix}{text}", *getattr(error, "__notes__", ())):
            for line in told.split("\n"):  # names in it may be a stranger's
                print(printable(line), file=sys.stderr)

    try:
        with EarlyStop() as early, _warnings_in(report), counted_by(report.count):
            if "_ARGCOMPLETE" in os.environ:
                import argcomplete

                argcomplete.autocomplete(parser)
            options = parser.parse_args(arguments)
            only_prints = getattr(options, "only_prints", False)
            code = work(options, Session(early, report)) or 0
        sys.stdout.flush()
        report.end(_OUTCOMES.get(code, "failed"), None)
        return code
    except FpnkitError as error:
        end(_OUTCOMES.get(error.exit_code, "failed"), str(error), error)
        return error.exit_code
    except KeyboardInterrupt as error:
        end("interrupted", interrupted, error)
        return STOPPED
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # also for what Python flushes at its end
        if only_prints:
            return 0
        end("failed", "standard output was closed", error)
        return FpnkitError.exit_code
    except SystemExit as asked:  # by the parser, which has said why
        report.end("refused" if asked.code else "finished", None)
        raise
    except Exception as error:
        report.end("failed", f"{type(error).__name__}: {error}")
        raise


@contextmanager
def _warnings_in(report: Reporter) -> Iterator[None]:
    """Copy logged warnings to the record; `extra={"kind": …}` is their kind."""
    handler = _Cautions(report)
    logger = logging.getLogger("fpnkit")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Cautions(logging.Handler):
    def __init__(self, report: Reporter) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:  # an error is told as the outcome
            self._report.warn(getattr(record, "kind", "other"), record.getMessage())


def _directory(text: str) -> Path:
    if not text:
        raise RunError("--base-dir: required a directory, found an empty name")
    return Path(text)
