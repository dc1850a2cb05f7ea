"""Bootstrap over images (Efron 1979): how much a metric would vary over other samples of the same size.

The draws depend only on the number of images, so all codecs on one set are compared on the same draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fpnkit.metrics.matches import Matches, average_precision_of, average_precisions
from fpnkit.runs.results import FEWEST_IMAGES

COUNT = 1000
SEED = 0
CONFIDENCE = 0.95


def resamples(images: int, count: int = COUNT, seed: int = SEED) -> NDArray[np.int64]:
    """Weights (count, images): how many times each image was drawn; rows sum to `images`.

    The first rows do not depend on `count`.
    """
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(images, size=(count, images))
    weights = np.zeros((count, images), np.int64)
    np.add.at(weights, (np.arange(count)[:, None], drawn), 1)
    return weights


def interval(values: NDArray[np.float64], estimate: float | None = None) -> tuple[float, float] | None:
    """The central 95 % of resampled values without NaN; None if none is left.

    Given the estimate from the set itself, the values are shifted so that their mean lies on it: a resample holds about
    63 % of the images, each of them more than once, and AP is higher on fewer images. On sets of 206 drawn from 549
    COCO images the shifted interval of mAP held the true value 92 times in 100, the plain one 84 times.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    shift = 0.0 if estimate is None else estimate - known.mean()
    return float(low + shift), float(high + shift)


def map_interval(matches: Matches, count: int = COUNT) -> tuple[float, float] | None:
    """95 % interval of AP@[.50:.95], within [0, 1]; None for fewer than 20 images or without labels."""
    if len(matches.objects) < FEWEST_IMAGES:
        return None
    values, _ = average_precisions(matches, resamples(len(matches.objects), count))
    bounds = interval(values, average_precision_of(matches).map)
    return None if bounds is None else (max(0.0, bounds[0]), min(1.0, bounds[1]))
