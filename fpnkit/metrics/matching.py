"""Match detections to objects with COCO's greedy matching (Lin et al. 2014, arXiv:1405.0312).

Images and categories do not concern each other, so all of them are matched at once: first the best detection of each,
then the second, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fpnkit.detectors.base import Detections
from fpnkit.errors import DataError
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.matches import IOU_THRESHOLDS, Matches
from fpnkit.metrics.overlaps import BOXES, Flags, Kind, Overlap, Rows, crowds, joined

_MOST_PAIRS = 500_000  # of detections and objects at once
_LEVELS = len(IOU_THRESHOLDS)


def match(truth: Sequence[GroundTruth], detections: Sequence[Detections], kind: Kind = BOXES) -> Matches:
    """Match each image's detections, best score first, to its objects; both in the same order.

    Raises `DataError` if an image occurs twice.
    """
    _require_unique_ids(truth)
    objects = _Objects.of(truth, kind)
    found = _Found.of(truth, detections, objects, kind.most_detections)
    pairs = _Pairs.of(found, objects, kind.overlap(truth, detections))
    matched, ignored = _greedy(pairs, objects, found)
    single = ~objects.ignored
    counts = np.bincount(objects.group[single], minlength=len(truth) * len(objects.categories))
    return Matches(
        image=(found.group // max(1, len(objects.categories))).astype(np.int32),
        category=objects.categories[found.group % max(1, len(objects.categories))],
        score=found.score,
        matched=matched,
        ignored=ignored,
        objects=counts.reshape(len(truth), len(objects.categories)).astype(np.int32),
        categories=objects.categories,
    )


def _require_unique_ids(truth: Sequence[GroundTruth]) -> None:
    ids = [image.image_id for image in truth]
    if len(set(ids)) != len(ids):
        twice = sorted({image_id for image_id in ids if ids.count(image_id) > 1})
        raise DataError(f"image ids: required unique ones, found {', '.join(map(str, twice[:5]))} more than once")


@dataclass(frozen=True)
class _Objects:
    """Of all images. A group is what is in one image and category: image · categories + column."""

    categories: NDArray[np.int32]  # ids, sorted
    group: Rows
    ignored: Flags  # count neither way
    crowd: Flags  # may be found again and again; ignored as well

    @classmethod
    def of(cls, truth: Sequence[GroundTruth], kind: Kind) -> _Objects:
        labels = joined([image.labels for image in truth], torch.int64).numpy()
        categories, column = np.unique(labels, return_inverse=True)
        group = _images([len(image.labels) for image in truth]) * len(categories) + column
        crowd = crowds(truth)
        return cls(categories.astype(np.int32), group, kind.ignored(truth) | crowd, crowd)


@dataclass(frozen=True)
class _Found:
    """The detections that count, by image id and category, best score first."""

    row: Rows  # among those of all images
    group: Rows
    score: NDArray[np.float32]

    @classmethod
    def of(cls, truth: Sequence[GroundTruth], detections: Sequence[Detections], objects: _Objects, most: int) -> _Found:
        sizes = [len(found.labels) for _, found in zip(truth, detections, strict=True)]
        labels = joined([found.labels for found in detections], torch.int64).numpy()
        score = joined([found.scores for found in detections], torch.float32).numpy()
        row = np.flatnonzero(np.isin(labels, objects.categories))
        image, column = _images(sizes)[row], np.searchsorted(objects.categories, labels[row])
        place = np.argsort(np.argsort([each.image_id for each in truth]))  # COCO's order where scores are equal
        order = np.lexsort((-score[row], column, place[image]))
        row, group = row[order], (image * len(objects.categories) + column)[order]
        kept = _rank(group) < most
        return cls(row[kept], group[kept], score[row[kept]])


@dataclass(frozen=True)
class _Pairs:
    """Pairs that overlap enough; of each detection the one to be preferred last."""

    detection: Rows  # position in `_Found`, ascending
    object: Rows
    overlap: NDArray[np.float64]

    @classmethod
    def of(cls, found: _Found, objects: _Objects, overlap: Overlap) -> _Pairs:
        parts = [cls(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))]
        for detection, labeled in _possible(found, objects):
            values = overlap(found.row[detection], labeled)
            enough = np.flatnonzero(values >= IOU_THRESHOLDS[0])
            parts.append(cls(detection[enough], labeled[enough], values[enough]))
        detection, labeled, values = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("detection", "object", "overlap")
        )
        order = np.lexsort((labeled, values, ~objects.ignored[labeled], detection))  # of equals the last
        return cls(detection[order], labeled[order], values[order])


def _possible(found: _Found, objects: _Objects) -> Iterator[tuple[Rows, Rows]]:
    """(pairs,) detection and object of the same image and category, some at a time."""
    by_group = np.argsort(objects.group, kind="stable")
    group = objects.group[by_group]
    first, end = (np.searchsorted(group, found.group, side) for side in ("left", "right"))
    counts = end - first
    ends = np.cumsum(counts)
    detections = np.flatnonzero(counts)
    for some in np.split(detections, np.flatnonzero(np.diff(ends[detections] // _MOST_PAIRS)) + 1):
        detection = some.repeat(counts[some])
        step = np.arange(len(detection)) - (np.cumsum(counts[some]) - counts[some]).repeat(counts[some])
        yield detection, by_group[first[detection] + step]


def _greedy(pairs: _Pairs, objects: _Objects, found: _Found) -> tuple[Flags, Flags]:
    """Matched to an object, found what is ignored; (10, detections) each.

    A detection takes the free object that it overlaps most; those that count go before those that are ignored.
    """
    matched = np.zeros((_LEVELS, len(found.row)), np.bool_)
    ignored = np.zeros_like(matched)
    free = np.ones((_LEVELS, len(objects.group)), np.bool_)
    for part in _rounds(pairs, found):
        detection, labeled = pairs.detection[part], pairs.object[part]
        starts = np.flatnonzero(np.diff(detection, prepend=-1))
        possible = free[:, labeled] & (pairs.overlap[part] >= IOU_THRESHOLDS[:, None])
        best = np.maximum.reduceat(np.where(possible, np.arange(len(labeled)), -1), starts, axis=1)
        level, place = np.nonzero(best >= 0)
        taken, taking = labeled[best[level, place]], detection[starts[place]]
        matched[level, taking] = ~objects.ignored[taken]
        ignored[level, taking] = objects.ignored[taken]
        free[level, taken] = objects.crowd[taken]
    return matched, ignored


def _rounds(pairs: _Pairs, found: _Found) -> Iterator[Rows]:
    """Positions of pairs, one detection of each image and category at a time."""
    starts = np.flatnonzero(np.diff(pairs.detection, prepend=-1))
    sizes = np.diff(starts, append=len(pairs.detection))
    turn = _rank(found.group[pairs.detection[starts]]).repeat(sizes)
    order = np.argsort(turn, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(turn[order])) + 1) if len(order) else ()


def _rank(group: Rows) -> Rows:
    """Position within the group, where those of a group stand together."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return np.arange(len(group)) - starts.repeat(np.diff(starts, append=len(group)))


def _images(sizes: Sequence[int]) -> Rows:
    return np.repeat(np.arange(len(sizes)), sizes)
