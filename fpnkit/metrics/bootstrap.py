"""Percentile bootstrap over images (Efron 1979): what a metric would have been on another draw of the same size.

The draws depend on the number of images alone, so that all codecs on one set are compared on the same draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fpnkit.metrics.matches import Matches, average_precisions

COUNT = 500
SEED = 0
CONFIDENCE = 0.95


def resamples(images: int, count: int = COUNT, seed: int = SEED) -> NDArray[np.int64]:
    """Weights (count, images): how many times each image was drawn; rows sum to `images`.

    The first rows do not depend on `count`.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.integers(images, size=(count, images))
    weights = np.zeros((count, images), np.int64)
    np.add.at(weights, (np.arange(count)[:, None], drawn), 1)
    return weights


def interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The 95 % in the middle of resampled values, NaN left out; None where none is left."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def map_interval(matches: Matches, count: int = COUNT) -> tuple[float, float] | None:
    """95 % interval of AP@[.50:.95]; None where nothing is labelled."""
    return interval(average_precisions(matches, resamples(len(matches.objects), count))[0])
