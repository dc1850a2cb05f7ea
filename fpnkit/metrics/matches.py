"""Matched detections, and COCO's average precision from them, also over resampled images.

Matching does not depend on the other images of a set, so it is done once, and a resample only counts. An image drawn
twice counts as two images.
"""

from __future__ import annotations

import io
import itertools
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
_FEW_COLUMNS = 16  # numpy accumulates them as fast as we do
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
    from scipy import sparse

    drawn = np.ascontiguousarray(weights.T, np.int32)  # (images, resamples)
    objects = sparse.csr_matrix(matches.objects.T) @ drawn  # (categories, resamples)
    precision = np.zeros((len(IOU_THRESHOLDS), *objects.shape))
    for number, rows in enumerate(_rows_by_score(matches)):
        found = _Found.of(matches, rows)
        chunk = max(1, _LARGEST // max(len(found.image), objects[number].max(initial=1)))
        for part in (slice(first, first + chunk) for first in range(0, drawn.shape[1], chunk)):
            precision[:, number, part] = found.precision(drawn[:, part], objects[number, part])
    labeled = objects > 0
    with np.errstate(invalid="ignore"):
        by_threshold = np.where(labeled, precision, 0).sum(axis=1) / labeled.sum(axis=0)
    return by_threshold.mean(axis=0), by_threshold[0]


def _rows_by_score(matches: Matches) -> Iterator[NDArray[np.intp]]:
    """Of each category, its detections, best score first."""
    order = np.argsort(-matches.score, kind="stable")
    order = order[np.argsort(matches.category[order], kind="stable")]
    category = matches.category[order]
    bounds = (np.searchsorted(category, matches.categories, side) for side in ("left", "right"))
    for first, end in zip(*bounds, strict=True):
        yield order[first:end]


@dataclass(frozen=True)
class _Found:
    """Detections of one category, best score first, reduced to places where one is matched or ignored.

    Recall and the best precision from there on change where an object is found only, so only these places are looked
    at. At most thresholds they are few, also where there are many detections.
    """

    image: NDArray[np.int32]  # (places,)
    matched: NDArray[np.bool_]  # (10, places)
    ignored: NDArray[np.bool_]  # (10, places)
    detected: Any  # sparse (places, images): detections since the place before

    @classmethod
    def of(cls, matches: Matches, rows: NDArray[np.intp]) -> _Found:
        from scipy import sparse

        matched, ignored, image = matches.matched[:, rows], matches.ignored[:, rows], matches.image[rows]
        places = np.flatnonzero(matched.any(axis=0) | ignored.any(axis=0))
        ends = np.concatenate([[0], places + 1])
        entries = np.ones(ends[-1], np.int32), image[: ends[-1]], ends
        detected = sparse.csr_matrix(entries, shape=(len(places), len(matches.objects)))
        return cls(image[places], matched[:, places], ignored[:, places], detected)

    def precision(self, drawn: Weights, objects: Weights) -> Numbers:
        """Interpolated precision, averaged over 101 recalls, at each threshold: (10, resamples).

        drawn: (images, resamples); objects: (resamples,).
        """
        averages = np.zeros((len(IOU_THRESHOLDS), len(objects)))
        everything = _accumulate(np.add, self.detected @ drawn)  # (places, resamples)
        reached = _recalls_reached(objects)
        columns = np.arange(len(objects))
        for level, (matched, ignored) in enumerate(zip(self.matched, self.ignored, strict=True)):
            true = _accumulate(np.add, drawn[self.image[matched]])
            detected = everything[matched]
            if ignored.any():
                detected -= _accumulate(np.add, drawn[self.image] * ignored[:, None])[matched]
            best = true / (detected + _EPSILON)
            _accumulate(np.maximum, best[::-1])
            newly = np.diff(reached.take(true * len(objects) + columns), axis=0, prepend=0)
            averages[level] = (best * newly).sum(axis=0) / len(_RECALLS)
        return averages


def _recalls_reached(objects: Weights) -> NDArray[np.int16]:
    """(objects found + 1, resamples): how many of the 101 recalls are reached with so many."""
    count = np.maximum(objects, 1)
    needed = -(-np.arange(len(_RECALLS))[:, None] * count // (len(_RECALLS) - 1))
    needed += needed / count < _RECALLS[:, None]  # COCO's recalls are not exactly hundredths
    places = needed * len(count) + np.arange(len(count))
    newly = np.bincount(places.ravel(), minlength=(count.max(initial=1) + 1) * len(count))
    return _accumulate(np.add, newly.astype(np.int16).reshape(-1, len(count)))


def _accumulate(function: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
    """In place along the first axis. numpy goes down column by column, which is slow where there are many."""
    if values.shape[1] < _FEW_COLUMNS:
        function.accumulate(values, axis=0, out=values)
        return values
    for before, row in itertools.pairwise(values):
        function(before, row, out=row)
    return values
