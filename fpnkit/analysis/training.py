"""Small analyses while a codec trains."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fpnkit.config.schema import CodecConfig, Config
from fpnkit.training.loop import EpochEnd

if TYPE_CHECKING:
    from fpnkit.analysis.subject import CachedBench

log = logging.getLogger(__name__)


class TrainingFigures:
    """Analyses of the best model so far, every few epochs and at the end, if the config asks for them.

    They run on the CPU with their own detector and restore torch's generator, so that training continues exactly as
    without them. Failures are logged as warnings and never end the training.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._bench: CachedBench | None = None

    def after_epoch(self, end: EpochEnd) -> None:
        """Write into a directory for the epoch, next to the final one."""
        every = self._config.analysis.figures_every
        if every is not None and end.epoch % every == 0:
            end.wait_for_files()
            self._analyze(end.directory, f"_epoch_{end.epoch}")

    def finish(self, run: Path) -> None:
        """Write into the directory of `python -m fpnkit.analyze`, which adds what is left out here."""
        if self._config.analysis.figures_every is not None:
            self._analyze(run, "")

    def _analyze(self, run: Path, suffix: str) -> None:
        config = self._config
        if not isinstance(config, CodecConfig):
            return
        from fpnkit.analysis.report import (  # imported late: a training without figures need not wait
            analyze,
            default_directory,
        )
        from fpnkit.analysis.subject import build_bench, load_subject

        try:
            with torch.random.fork_rng(devices=[]):
                self._bench = self._bench or build_bench(config, "val", config.analysis.figures_images)
                subject = load_subject(run, self._bench)
                directory = default_directory(run, subject.lmbda, "val")
                analyze(subject, directory.with_name(directory.name + suffix), small=True)
        except Exception as error:
            log.warning("no figures: %s", error, extra={"kind": "figures"})
