"""Where runs are and what the files of a run are called."""

import difflib
import os
import re
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from fpnkit.errors import AmbiguousRunError, RunError
from fpnkit.foundation import clock

Kind = Literal["fpn_compression", "detection"]

# Files of a run directory.
RUN_JSON = "run.json"  # written by the trainer alone
CONFIG_USED = "config_used.yaml"
COMMAND_ARGS = "command_args.txt"
METRICS = "metrics.jsonl"
BEST_MODEL = "best_model.pth"
LAST = "last.pth"
TAGS = "tags.json"  # written by the researcher alone
NOTE = "note.md"  # written by the researcher alone
JOB = "job.json"  # of a run that a scheduler has
STOP = "STOP"  # its appearance asks the run to stop
ENV = "env"
GIT_JSON = "git.json"
DIFF_PATCH = "diff.patch"
PACKAGES = "packages.txt"
SYSTEM_JSON = "system.json"
FPN_ANALYSIS = "fpn_analysis"
EVALUATION = "evaluation"
SUMMARY = "summary.json"  # of one evaluation
TENSORBOARD = "tb"

# Beside the run directories.
SWEEPS = "sweeps"
TRASH = ".trash"
ARCHIVE = "archive"

_RUN_NAME = re.compile(r"run_(\d{8}_\d{6})(?:_lambda_[^_]+)?_lr_[^_]+_bs_\d+((?:_\d+)?)", re.ASCII)
_QUALITY_NAME = re.compile(r"q\d+(\.\d+)?(_\w+)?", re.ASCII)
_CANDIDATES_SHOWN = 10
_NAMES_COMPARED = 1000


def log_name(time: datetime) -> str:
    """Name of the human-readable log."""
    return f"train_{clock.stamp(time)}.log"


def best_model_name(epoch: int, loss: float, time: datetime) -> str:
    """Name of a best checkpoint with epoch, loss and time."""
    return f"best_model_epoch_{epoch}_loss_{loss:.4f}_{clock.stamp(time)}.pth"


def evaluation_directory(
    run: Path, dataset: str, checkpoint: str, quality: float | None = None, search_steps: int | None = None
) -> Path:
    """Path of an evaluation within a run; `checkpoint` is its hash. Only codecs of several rates are searched."""
    directory = run / EVALUATION / dataset / checkpoint
    if quality is None:
        return directory
    name = f"q{quality:.3f}".rstrip("0").rstrip(".")
    return directory / (name if search_steps is None else f"{name}_s{search_steps}")


def is_quality(name: str) -> bool:
    """Whether a directory name stands for the evaluation at one quality, with or without search."""
    return _QUALITY_NAME.fullmatch(name) is not None


def diagnostics_name(epoch: int) -> str:
    """Name of the diagnostics of one epoch."""
    return f"training_diagnostics_epoch_{epoch}.txt"


def run_name(created: datetime, lmbda: float | None, lr: float, batch_size: int) -> str:
    """A label for people; detectors have no lambda. Code reads `config_used.yaml`, never this name."""
    middle = "" if lmbda is None else f"_lambda_{lmbda:.2e}"
    return f"run_{clock.stamp(created)}{middle}_lr_{lr:.2e}_bs_{batch_size}"


def short_name(name: str) -> str:
    """`20261216_143022`, or `20261216_143022_1` where the name has a suffix; other names stay as they are."""
    return match.expand(r"\1\2") if (match := _RUN_NAME.fullmatch(name)) else name


def home() -> Path:
    """`$FPNKIT_HOME`, else the nearest folder above that has `checkpoints/`, else the working directory."""
    if given := os.environ.get("FPNKIT_HOME"):
        return Path(os.path.expanduser(given))
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "checkpoints").is_dir()), here)


def default_base_dir(kind: Kind) -> Path:
    """The folder that directly holds the runs of this kind."""
    return home() / "checkpoints" / kind


def short_place(base_dir: Path) -> Path:
    """A base directory as people know it: relative to `home` if it lies there."""
    return base_dir.relative_to(home()) if base_dir.is_relative_to(home()) else base_dir


def is_usual(base_dir: Path) -> bool:
    """Whether runs go there by default, so that the directory may be missing before the first one."""
    return base_dir.absolute() in [default_base_dir(kind).absolute() for kind in get_args(Kind)]


def is_run_directory(path: Path) -> bool:
    """Whether it contains anything of a run, including an old-style log."""
    try:
        return path.is_dir() and any(
            name in (RUN_JSON, CONFIG_USED) or name.endswith((".log", ".pth")) for name in os.listdir(path)
        )
    except OSError:
        return False


def _composed(text: str) -> str:
    """The same for an é of one character, as most keyboards give it, and of two, as names from a Mac have it."""
    return unicodedata.normalize("NFC", text)


def find_run_of_either_kind(text: str, base_dir: Path | None) -> Path:
    """A run of either kind, unless a base directory is given; a name that matches one of each kind is refused."""
    if base_dir is not None:
        return find_run(text, base_dir).absolute()
    found: list[Path] = []
    errors: list[RunError] = []
    for kind in get_args(Kind):
        try:
            found.append(find_run(text, default_base_dir(kind)).absolute())
        except AmbiguousRunError:
            raise
        except RunError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    if len(set(found)) > 1:
        raise RunError(f"run {text!r}: two runs match; name one of them: {', '.join(map(str, found))}")
    return found[0]


def find_run(text: str, base_dir: Path) -> Path:
    """The run directory, or lone old-style log, for a path, a name, a short name or a unique part of a name.

    Raises RunError if several runs match, none matches, or the path is not a run directory.
    """
    text = text.rstrip("/") or text
    path = Path(os.path.expanduser(text))  # which, unlike that of pathlib, leaves users that there are not
    if text and (is_run_directory(path) or _is_lone_log(path)):
        return path
    try:
        names = sorted((entry.name for entry in os.scandir(base_dir) if _may_be_run(entry)), reverse=True)
    except OSError as error:
        raise RunError(f"run {text!r}: no such directory, nor a base directory {base_dir}: {error.strerror}") from error
    fits = (
        [name for name in names if name == text]
        or [name for name in names if short_name(name) == text]
        or [name for name in names if text in name]
        or [name for name in names if _composed(text) in _composed(name)]
    )
    if len(fits) == 1:
        return base_dir / fits[0]
    if fits:
        shown = [f"  {name}" for name in fits[:_CANDIDATES_SHOWN]]
        if len(fits) > _CANDIDATES_SHOWN:
            shown.append(f"  and {len(fits) - _CANDIDATES_SHOWN} more")
        raise AmbiguousRunError(
            "\n".join([f"run {text!r}: {len(fits)} runs in {base_dir} match; name one of them:", *shown])
        )
    if path.is_dir():
        raise RunError(f"run {text!r}: not a run directory, it has no {RUN_JSON}")
    nearest = difflib.get_close_matches(text, names[:_NAMES_COMPARED], n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise RunError(f"run {text!r}: no run in {base_dir} has this in its name{hint}")


def is_listed(name: str) -> bool:
    """Whether a name in a base directory may be a run."""
    return not name.startswith(".") and name not in (SWEEPS, ARCHIVE)


def _may_be_run(entry: os.DirEntry[str]) -> bool:
    return is_listed(entry.name) and (entry.is_dir() or entry.name.endswith(".log"))


def _is_lone_log(path: Path) -> bool:
    return path.suffix == ".log" and path.is_file() and not (path.parent / RUN_JSON).exists()
