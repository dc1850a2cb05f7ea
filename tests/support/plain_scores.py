"""COCO's matching and average precision as one reads them, one image and one resample at a time."""

import numpy as np
from numpy.typing import NDArray

from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.matches import IOU_THRESHOLDS, Matches

RECALLS = np.linspace(0, 1, 101)
Numbers = NDArray[np.float64]


def plain_match(truth: list[GroundTruth], detections: list[Detections]) -> Matches:
    categories = sorted({int(label) for image in truth for label in image.labels})
    single = [[int(label) for label in image.labels[~image.crowd]] for image in truth]
    parts = []
    for index in sorted(range(len(truth)), key=lambda index: truth[index].image_id):
        found, labeled = detections[index], truth[index]
        for category in categories:
            rows = np.flatnonzero(found.labels.numpy() == category)
            rows = rows[np.argsort(-found.scores.numpy()[rows], kind="stable")][:100]
            inside = labeled.labels.numpy() == category
            crowd = labeled.crowd.numpy()[inside]
            overlaps = _iou(found.boxes.double().numpy()[rows], labeled.boxes.double().numpy()[inside], crowd)
            flags = _greedy(overlaps, crowd)
            parts += [(index, category, found.scores.numpy()[row], *flags[:, :, n]) for n, row in enumerate(rows)]
    columns = list(zip(*parts, strict=True)) if parts else [[], [], [], np.zeros((0, 10)), np.zeros((0, 10))]
    return Matches(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.float32),
        np.array(columns[3], np.bool_).reshape(-1, 10).T,
        np.array(columns[4], np.bool_).reshape(-1, 10).T,
        np.array([[labels.count(each) for each in categories] for labels in single], np.int32),
        np.array(categories, np.int32),
    )


def _greedy(overlaps: Numbers, crowd: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(2, 10, detections): matched, ignored."""
    flags = np.zeros((2, 10, len(overlaps)), np.bool_)
    for level, threshold in enumerate(IOU_THRESHOLDS):
        free = ~crowd
        for row, values in enumerate(overlaps):
            possible = np.flatnonzero(free & (values >= threshold))
            if len(possible):
                best = max(possible, key=lambda number: (values[number], number))
                free[best], flags[0, level, row] = False, True
            else:
                flags[1, level, row] = values[crowd].max(initial=0) >= threshold
    return flags


def _iou(detected: Numbers, objects: Numbers, crowd: NDArray[np.bool_]) -> Numbers:
    sides = [boxes[:, 2:] - boxes[:, :2] for boxes in (detected, objects)]
    ends = [boxes[:, :2] + side for boxes, side in zip((detected, objects), sides, strict=True)]
    shared = np.minimum(ends[0][:, None], ends[1]) - np.maximum(detected[:, None, :2], objects[:, :2])
    shared = shared.clip(0).prod(axis=2)
    own, other = (side.prod(axis=1) for side in sides)
    union = np.where(crowd, own[:, None], own[:, None] + other - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def plain_average_precision(matches: Matches, weights: NDArray[np.integer]) -> tuple[float, float]:
    """map, map50; NaN if nothing is labeled."""
    precisions = []
    for column, category in enumerate(matches.categories):
        objects = weights @ matches.objects[:, column]
        if not objects:
            continue
        rows = np.flatnonzero(matches.category == category)
        rows = rows[np.argsort(-matches.score[rows], kind="stable")]
        counts = weights[matches.image[rows]]
        levels = []
        for matched, ignored in zip(matches.matched[:, rows], matches.ignored[:, rows], strict=True):
            true, detected = np.cumsum(counts * matched), np.cumsum(counts * ~ignored)
            precision = true / (detected + np.spacing(1))
            best = np.maximum.accumulate(precision[::-1])[::-1]
            places = np.searchsorted(true / objects, RECALLS)
            levels.append(np.where(places < len(best), np.append(best, 0)[places], 0).mean())
        precisions.append(levels)
    return (float(np.mean(precisions)), float(np.mean(precisions, axis=0)[0])) if precisions else (np.nan, np.nan)
