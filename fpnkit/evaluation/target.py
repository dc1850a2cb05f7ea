"""The quality at which a codec of several rates needs at most a given rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fpnkit.codecs.at_rate import AtRate, highest_within
from fpnkit.codecs.coder import CoderInput
from fpnkit.errors import UserError
from fpnkit.evaluation.models import Model
from fpnkit.evaluation.recipes import reproducible
from fpnkit.evaluation.task import Task
from fpnkit.foundation.progress import progress
from fpnkit.metrics.rate import bpp


def quality_of_set(task: Task, model: Model, target: float) -> AtRate:
    """For the bpp of all images of the task; only encodes."""
    curve = model.trained.codec.qualities
    assert curve is not None
    try:
        return highest_within(lambda qualities: _rates(task, model, qualities), curve, target, "bpp")
    except UserError as error:
        raise UserError(f"run {model.path}: --target-bpp: {error}") from None


@torch.no_grad()
def _rates(task: Task, model: Model, qualities: Sequence[float]) -> list[float]:
    """The bpp of the set at each quality; the detector's backbone runs once an image."""
    with reproducible():
        return _encoded(task, model, qualities)


def _encoded(task: Task, model: Model, qualities: Sequence[float]) -> list[float]:
    coders = [model.coder(task.detector, quality) for quality in qualities]
    sizes, pixels = [0] * len(coders), 0
    what = f"rate at quality {qualities[0]:g}" if len(qualities) == 1 else "rates"
    for index in progress(range(len(task.images)), what):
        sample = task.images[index]
        features = task.features(sample)
        source = CoderInput(sample.image, features.pyramid, features.geometry)
        sizes = [size + len(coder.encode(source).data) for size, coder in zip(sizes, coders, strict=True)]
        pixels += sample.image.shape[1] * sample.image.shape[2]
    return [bpp(8 * size, pixels) for size in sizes]
