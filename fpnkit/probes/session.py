"""Probes for the codecs of some runs: trained on the runs' training images, asked on their test images."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fpnkit.codecs.calibration import Standardizer, calibrate
from fpnkit.config.schema import CodecConfig
from fpnkit.data.build import build_image_sets
from fpnkit.detectors.base import Detector
from fpnkit.detectors.cached import feature_cache
from fpnkit.evaluation.models import load_model
from fpnkit.evaluation.task import build_task
from fpnkit.foundation.progress import Progress
from fpnkit.probes.head import Probe, train_probes
from fpnkit.probes.measure import Seen, Sender, look
from fpnkit.runs.trained import TrainedRun

_log = logging.getLogger(__name__)

_STEPS = 800


def probe(
    wanted: Sequence[tuple[TrainedRun, Sequence[float | None]]], search_steps: int | None, images: int
) -> list[Seen]:
    """Runs of one detector and the same data with the qualities to look at; heads see `images` images in training."""
    models = [(load_model(run, search_steps), qualities) for run, qualities in wanted]
    config = models[0][0].config
    task = build_task(config)
    for model, _ in models:
        model.trained.require_detector(f"run {model.path}", task.detector.name, task.detector.fingerprint())
    probes = _trained(config, task.detector, images)
    senders = [
        Sender(model.coder(task.detector, quality), model.path.name, quality)
        for model, qualities in models
        for quality in qualities
    ]
    return look(task, senders, probes)


def _trained(config: CodecConfig, detector: Detector, most: int) -> dict[str, Probe]:
    images, _ = build_image_sets(config.data, config.seed)
    cache = feature_cache(config.cache, detector, images)
    indices = [index * len(images) // min(most, len(images)) for index in range(min(most, len(images)))]
    standardiser = Standardizer(detector.spec)
    found = (cache.load(index) for index in indices)
    standardiser.set(calibrate((each.pyramid, each.geometry) for each in found))
    _log.info("training the probes on %d images", len(indices))
    with Progress("probes", _STEPS, "step") as counted:
        return train_probes(cache.load, indices, images, standardiser, detector.spec, config.seed, _STEPS, counted.step)
