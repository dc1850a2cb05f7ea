"""Trained codecs as coders to measure."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec, on_device
from fpnkit.codecs.sender import SenderSearch, require_searchable
from fpnkit.config.schema import CodecConfig
from fpnkit.detectors.base import Detector
from fpnkit.detectors.device import CPU
from fpnkit.errors import RunError, UserError
from fpnkit.evaluation.run import Job, Origin
from fpnkit.evaluation.task import Task
from fpnkit.runs import layout
from fpnkit.runs.trained import TrainedRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """The best codec of a run, and how long its encoder searches."""

    path: Path  # of the run
    config: CodecConfig  # including overrides from the command line
    trained: TrainedCodec
    search_steps: int | None = None

    def coder(self, detector: Detector, quality: float | None) -> LearnedCoder:
        """Codes at one quality; None for a codec of one rate."""
        steps = self.search_steps
        search = None if steps is None else SenderSearch(self.trained, detector, steps)
        return LearnedCoder(self.trained, quality, search)

    def require_detector(self, detector: Detector) -> None:
        """Raise `WeightsError` unless the codec was trained for this one."""
        self.trained.require_detector(f"run {self.path}", detector.name, detector.fingerprint())

    def job(self, task: Task, quality: float | None) -> Job:
        """What to measure at one quality. Raises `WeightsError` if the codec was trained for another detector."""
        trained, steps = self.trained, self.search_steps
        self.require_detector(task.detector)
        directory = layout.evaluation_directory(self.path, task.images.name, trained.hash, quality, steps)
        lmbda = trained.config.lmbda_at(quality)
        origin = Origin(self.path.name, trained.hash, trained.epoch, lmbda, quality, steps)
        coder = self.coder(task.detector, quality)
        recipe = ModelRecipe(self.path, trained.hash, quality, steps, task.device)
        return Job(coder, directory, origin, trained.codec.standardiser.variance(), recipe, self.path)


@dataclass(frozen=True)
class ModelRecipe:
    """Builds a model's coder in another process. Implements `CoderRecipe`."""

    run: Path
    hash: str
    quality: float | None
    search_steps: int | None
    device: torch.device

    def build(self, detector: Detector) -> LearnedCoder:
        """Raises `RunError` if the run has another best model by now."""
        trained = _loaded(self.run, self.device)
        if trained.hash != self.hash:
            raise RunError(f"run {self.run}: required its best model {self.hash}, found {trained.hash}; it is training")
        return Model(self.run, trained.config, trained, self.search_steps).coder(detector, self.quality)


@functools.cache
def _loaded(run: Path, device: torch.device) -> TrainedCodec:
    """Once for all qualities."""
    return on_device(load_codec(run / layout.BEST_MODEL), f"run {run}", device)


def load_model(run: TrainedRun, search_steps: int | None, device: torch.device = CPU) -> Model:
    """Raises `UserError`, which names the run, if the encoder cannot search or the codec cannot run on the device."""
    trained = on_device(load_codec(run.path / layout.BEST_MODEL), f"run {run.path}", device)
    log.info("run %s: best model of epoch %d, hash %s", run.path.name, trained.epoch, trained.hash)
    if search_steps is None:
        return Model(run.path, run.config, trained)
    try:
        require_searchable(trained)
    except UserError as error:
        raise UserError(f"run {run.path}: {error}") from None
    return Model(run.path, run.config, trained, search_steps)
