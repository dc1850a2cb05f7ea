"""Matched detections, and COCO's average precision from them, also over resampled images.

Matching does not depend on the other images of a set, so it is done once, and a resample only counts. An image drawn
twice counts as two images.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpnkit.errors import DataError
from fpnkit.foundation.files import write_bytes

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_LARGEST = 4_000_000  # numbers in an array while resampling
_EPSILON = np.spacing(1)  # COCO's guard against dividing by zero

Numbers = NDArray[np.float64]
Weights = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class DetectionScores:
    """Averages over categories, in [0, 1]; None if no object is labeled."""

    map: float | None  # AP@[.50:.95]
    map50: float | None  # AP@.50


@dataclass(frozen=True)
class Matches:
    """Detections of a set of images matched to its objects; detections of categories without truth are left out.

    Equal scores are ordered as the detections are.
    """

    image: NDArray[np.int32]  # (detections,) index into the set
    category: NDArray[np.int32]  # (detections,) category id
    score: NDArray[np.float32]  # (detections,)
    matched: NDArray[np.bool_]  # (10, detections) to a labeled object, at IoU .50:.05:.95
    ignored: NDArray[np.bool_]  # (10, detections) lies in a crowd: counts neither way
    objects: NDArray[np.int32]  # (images, categories) labeled objects, crowds not counted
    categories: NDArray[np.int32]  # (categories,) ids

    def save(self, path: Path) -> None:
        """Atomically. Raises `StorageError`."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(self))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Matches:
        """Raises `DataError`: missing or something else."""
        try:
            data = io.BytesIO(path.read_bytes())  # numpy leaves a file open that it cannot read
            with np.load(data, allow_pickle=False) as stored:
                return cls(**{item.name: stored[item.name] for item in fields(cls)})
        except OSError as error:
            raise DataError(f"{path}: required matched detections, found: {error.strerror or error}") from error
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: required matched detections, found something else ({error})") from error


def average_precision_of(matches: Matches, weights: Weights | None = None) -> DetectionScores:
    """COCO's averages; `weights` (images,) says how many times each image counts, by default once."""
    weights = np.ones(len(matches.objects), np.int64) if weights is None else weights
    map_, map50 = (float(values[0]) for values in average_precisions(matches, weights[None]))
    return DetectionScores(None, None) if np.isnan(map_) else DetectionScores(map_, map50)


def average_precisions(matches: Matches, weights: Weights) -> tuple[Numbers, Numbers]:
    """As `average_precision_of` for many resamples at once: weights (resamples, images) → map, map50 (resamples,).

    NaN if a resample has no labeled object.
    """
    counts = weights.astype(np.int32)
    objects = counts @ matches.objects  # (resamples, categories)
    precision = np.zeros((len(IOU_THRESHOLDS), *objects.shape))
    for column, rows in enumerate(_rows_by_score(matches)):
        chunk = max(1, _LARGEST // max(1, len(rows)))
        for part in (slice(first, first + chunk) for first in range(0, len(counts), chunk)):
            precision[:, part, column] = _precision(matches, rows, counts[part], objects[part, column])
    labeled = objects > 0
    with np.errstate(invalid="ignore"):
        by_threshold = np.where(labeled, precision, 0).sum(axis=2) / labeled.sum(axis=1)
    return by_threshold.mean(axis=0), by_threshold[0]


def _rows_by_score(matches: Matches) -> Iterator[NDArray[np.intp]]:
    """Of each category, its detections, best score first."""
    order = np.argsort(-matches.score, kind="stable")
    for category in matches.categories:
        yield order[matches.category[order] == category]


def _precision(matches: Matches, rows: NDArray[np.intp], weights: Weights, objects: Weights) -> Numbers:
    """Interpolated precision of one category, averaged over 101 recalls, at each threshold: (10, resamples).

    `rows`: its detections, best score first. Recall and the best precision from there on change where an object is
    found only, so only these places are looked at.
    """
    counts = weights.take(matches.image[rows], axis=1)  # (resamples, detections)
    everything = np.cumsum(counts, axis=1, dtype=np.int32)
    averages = np.zeros((len(IOU_THRESHOLDS), len(weights)))
    for level, (matched, ignored) in enumerate(zip(matches.matched[:, rows], matches.ignored[:, rows], strict=True)):
        detected = everything - np.cumsum(counts * ignored, axis=1) if ignored.any() else everything
        true = np.cumsum(counts.compress(matched, axis=1), axis=1)
        precision = true / (detected.compress(matched, axis=1) + _EPSILON)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = true / np.maximum(objects, 1)[:, None]
        reached = np.searchsorted(_RECALLS, recall, side="right")  # recalls of the 101 that are reached by then
        newly = np.diff(reached, axis=1, prepend=0)
        averages[level] = (best * newly).sum(axis=1) / len(_RECALLS)
    return averages
