"""Disk and time that a run, or the runs of a sweep, will need, known before the first one starts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.config.schema import Config, DetectorTraining, TrainingBase
from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.foundation.files import free_bytes
from fpnkit.launch.sweep import Sweep, SweepPoint, similar
from fpnkit.runs.store import RunInfo

# Weights and two moments of Adam in last.pth (SGD has one); weights alone in best_model.pth and in each copy that is
# kept.
_BYTES_OF_LAST, _BYTES_OF_BEST = 12, 4
_OTHER_BYTES, _OTHER_BYTES_AN_EPOCH = 100_000, 2_000  # environment; diagnostics, metrics and log


@dataclass(frozen=True)
class Needs:
    """Disk and time for all runs to be trained or resumed; None if unknown."""

    runs: int
    bytes: int | None
    seconds: float | None
    free_bytes: int
    source: str  # where the numbers come from
    cache_bytes: int = 0  # that the feature cache will take from the same disk
    at_once: int = 1  # runs that are trained side by side

    def describe(self) -> list[str]:
        """Lines for the terminal."""
        disk = "not known" if self.bytes is None else f"about {text.size(self.bytes)}"
        return [f"disk: {disk} ({self.source}){self._cache()}, {text.size(self.free_bytes)} free", self.time_left()]

    def time_left(self) -> str:
        """One line."""
        if self.seconds is None:
            return f"time: {_runs(self.runs)} to go; the duration is known once a run with these settings has finished"
        at_once = max(1, min(self.at_once, self.runs))
        beside = "" if at_once == 1 else f", {at_once} at a time"
        return f"time: about {text.duration(self.seconds / at_once)} for {_runs(self.runs)}{beside}"

    def require_disk(self, base_dir: Path) -> None:
        """Raise RunError if they cannot all fit."""
        if self.bytes is not None and self.bytes + self.cache_bytes > self.free_bytes:
            raise RunError(
                f"{base_dir}: required about {text.size(self.bytes)} for {_runs(self.runs)} ({self.source})"
                f"{self._cache()}{', which cache.budget_gb bounds' if self.cache_bytes else ''}, "
                f"found {text.size(self.free_bytes)} free"
            )

    def _cache(self) -> str:
        return f" and {text.size(self.cache_bytes)} for the feature cache" if self.cache_bytes else ""


def needs_of_run(config: Config, parameters: int, base_dir: Path, cache_bytes: int) -> Needs:
    """The needs of a run that is about to start."""
    training = config.training
    sgd = isinstance(training, DetectorTraining) and training.optimizer == "sgd"
    each = _estimate(training, parameters, _BYTES_OF_LAST - 4 * sgd)
    return Needs(1, each, None, free_bytes(base_dir), _estimated(parameters), cache_bytes)


def needs(
    sweep: Sweep,
    todo: Sequence[SweepPoint],
    runs: Sequence[RunInfo],
    base_dir: Path,
    parameters: int | None,
    cache_bytes: int = 0,
    *,
    at_once: int = 1,
) -> Needs:
    """The needs of the points `todo`, from finished runs with the same settings, else from the number of parameters."""
    done = similar(sweep, runs)
    sizes = [run.size_bytes for run in done if run.size_bytes]
    durations = [run.duration_seconds for run in done if run.duration_seconds]
    training = sweep.config(*sweep.points()[0]).training
    each = max(sizes) if sizes else None if parameters is None else _estimate(training, parameters)
    source = "unknown"
    if sizes:
        source = f"{_runs(len(sizes))} with these settings took up to {text.size(max(sizes))}"
    elif parameters is not None:
        source = _estimated(parameters)
    return Needs(
        len(todo),
        None if each is None else sum(max(each - _written(point), 0) for point in todo),
        sum(statistics.fmean(durations) * _left(point) for point in todo) if durations else None,
        free_bytes(base_dir),
        source,
        cache_bytes,
        at_once,
    )


def _estimate(training: TrainingBase, parameters: int, bytes_of_last: int = _BYTES_OF_LAST) -> int:
    copies = 1 + min(training.keep_best, training.epochs)
    weights = parameters * (bytes_of_last + _BYTES_OF_BEST * copies)
    return weights + _OTHER_BYTES + training.epochs * _OTHER_BYTES_AN_EPOCH


def _estimated(parameters: int) -> str:
    return f"estimated from {parameters} parameters"


def _written(point: SweepPoint) -> int:
    return point.run.size_bytes or 0 if point.resumable and point.run else 0


def _left(point: SweepPoint) -> float:
    """Share of the training that is left."""
    if not point.resumable or point.run is None or not point.run.epoch or not point.run.epochs:
        return 1.0
    return max(1 - (point.run.epoch - 1) / point.run.epochs, 0.0)


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
