"""The evaluations of a run, by `python -m fpnkit.evaluate`.

They are in evaluation/<dataset>/<checkpoint hash>[/q<quality>[_s<search steps>]].
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fpnkit.config.diff import flatten
from fpnkit.errors import RunError
from fpnkit.runs import layout
from fpnkit.runs.metrics import as_number
from fpnkit.runs.results import Summary, read_summary

_NO_RESULT = ("schema_version", "lmbda", "quality", "search_steps", "epoch", "labels")  # given, or of the checkpoint


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint on one data set, at one quality if the codec has several, with or without search."""

    directory: Path
    summary: Summary

    @property
    def dataset(self) -> str:
        """The folder name of the data set."""
        return self._checkpoint_folder.parent.name

    @property
    def checkpoint(self) -> str:
        """The checkpoint hash, from the folder name."""
        return self._checkpoint_folder.name

    @property
    def quality(self) -> float | None:
        """Quality on the codec's curve; None for a codec with one rate."""
        return self.summary.quality

    @property
    def search_steps(self) -> int | None:
        """Of the encoder; None if it did not search."""
        return self.summary.search_steps

    @property
    def _checkpoint_folder(self) -> Path:
        return self.directory.parent if layout.is_quality(self.directory.name) else self.directory

    def measured(self) -> dict[str, float]:
        """Measured values, with `snr_db.p3` for numbers by level; no inputs."""
        values = {key: value for key, value in asdict(self.summary).items() if key not in _NO_RESULT}
        numbers = {key: as_number(value) for key, value in flatten(values).items()}
        return {key: value for key, value in numbers.items() if value is not None}

    def interval(self, key: str) -> tuple[float, float] | None:
        """The 95 % interval of `map`, `self_map`, `mask_map` or `keypoint_map`."""
        bounds: tuple[float, float] | None = getattr(self.summary, f"{key}_interval", None)
        return bounds


def read_evaluations(run_dir: Path | str) -> list[Evaluation]:
    """Newest last; unreadable ones are left out, because an evaluation may be in progress."""
    found = []
    for directory in evaluation_directories(run_dir):
        try:
            time = os.stat(os.path.join(directory, layout.SUMMARY)).st_mtime_ns
            found.append((time, Evaluation(Path(directory), read_summary(directory))))
        except (OSError, RunError):
            continue
    return [evaluation for _, evaluation in sorted(found, key=lambda item: item[0])]


def evaluation_directories(run_dir: Path | str) -> Iterator[str]:
    """Directories of a run's evaluations, finished or not, in no order."""
    for dataset in _directories(os.path.join(run_dir, layout.EVALUATION)):
        for checkpoint in _directories(dataset):
            yield checkpoint
            yield from (path for path in _directories(checkpoint) if layout.is_quality(os.path.basename(path)))


def _directories(path: str) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            yield from (entry.path for entry in entries if entry.is_dir())
    except OSError:
        return
