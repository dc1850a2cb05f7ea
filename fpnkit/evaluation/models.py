"""Trained codecs as coders to measure."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec
from fpnkit.codecs.sender import SenderSearch, require_searchable
from fpnkit.config.schema import CodecConfig
from fpnkit.detectors.base import Detector
from fpnkit.errors import UserError
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
        return Job(coder, directory, origin, trained.codec.standardiser.variance())


def load_model(run: TrainedRun, search_steps: int | None) -> Model:
    """Raises `UserError`, which names the run, if the encoder cannot search."""
    trained = load_codec(run.path / layout.BEST_MODEL)
    log.info("run %s: best model of epoch %d, hash %s", run.path.name, trained.epoch, trained.hash)
    if search_steps is None:
        return Model(run.path, run.config, trained)
    try:
        require_searchable(trained)
    except UserError as error:
        raise UserError(f"run {run.path}: {error}") from None
    return Model(run.path, run.config, trained, search_steps)
