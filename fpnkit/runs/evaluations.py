"""What `python -m fpnkit.evaluate` left in a run: evaluation/<dataset>/<checkpoint hash>[/q<quality>]/summary.json."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnkit.config.diff import flatten
from fpnkit.foundation.files import from_json
from fpnkit.runs import layout
from fpnkit.runs.metrics import as_number

_NO_RESULT = ("schema_version", "lmbda", "quality", "epoch")  # given, or of the checkpoint


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint on one data set, at one quality where the codec has several."""

    dataset: str
    checkpoint: str  # hash
    values: Mapping[str, Any]  # of summary.json

    @property
    def quality(self) -> float | None:
        """On the codec's curve; None: it has one rate."""
        return self.number("quality")

    def number(self, key: str) -> float | None:
        """A value such as `bpp` or `map`; None where it was not measured."""
        return as_number(self.values.get(key))

    def measured(self) -> dict[str, float]:
        """What came out, `snr_db.p3` for numbers by level; not what went in."""
        values = {key: value for key, value in self.values.items() if key not in _NO_RESULT}
        numbers = {key: as_number(value) for key, value in flatten(values).items()}
        return {key: value for key, value in numbers.items() if value is not None}

    def interval(self, key: str) -> tuple[float, float] | None:
        """The 95 % of `map` or `self_map`."""
        match self.values.get(f"{key}_interval"):
            case [int() | float() as low, int() | float() as high]:
                return low, high
        return None


def read_evaluations(run_dir: Path | str) -> list[Evaluation]:
    """Newest last; what cannot be read is left out, for an evaluation may be under way."""
    found = []
    for dataset in _directories(os.path.join(run_dir, layout.EVALUATION)):
        for checkpoint in _directories(dataset.path):
            qualities = (each for each in _directories(checkpoint.path) if layout.is_quality(each.name))
            for directory in (checkpoint, *qualities):
                try:
                    with open(os.path.join(directory.path, layout.SUMMARY), "rb") as file:
                        time, values = os.fstat(file.fileno()).st_mtime_ns, from_json(json.load(file))
                except (OSError, ValueError, RecursionError):
                    continue
                if isinstance(values, dict):
                    found.append((time, Evaluation(dataset.name, checkpoint.name, values)))
    return [evaluation for _, evaluation in sorted(found, key=lambda item: item[0])]


def _directories(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from (entry for entry in entries if entry.is_dir())
    except OSError:
        return
