"""Match detections to objects with COCO's greedy matching (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpnkit.detectors.base import Detections
from fpnkit.errors import DataError
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.matches import IOU_THRESHOLDS, Matches

MOST_DETECTIONS = 100  # of an image and category

Boxes = NDArray[np.float64]  # (n, 4) left, top, width, height
Flags = NDArray[np.bool_]


def match(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> Matches:
    """Match each image's detections, best score first, to its objects; both in the same order.

    Raises `DataError` if an image occurs twice.
    """
    _require_unique_ids(truth)
    categories = sorted({int(label) for image in truth for label in image.labels})
    column = {category: index for index, category in enumerate(categories)}
    objects = np.zeros((len(truth), len(categories)), np.int32)
    parts: list[_Part] = []
    for index, (labeled, found) in enumerate(zip(truth, detections, strict=True)):
        for label in labeled.labels[~labeled.crowd].tolist():
            objects[index, column[label]] += 1
        parts += _image(index, labeled, found, column)
    parts.sort(key=lambda part: truth[part.image].image_id)  # COCO's order where scores are equal
    return _joined(parts, objects, categories)


def _require_unique_ids(truth: Sequence[GroundTruth]) -> None:
    ids = [image.image_id for image in truth]
    if len(set(ids)) != len(ids):
        twice = sorted({image_id for image_id in ids if ids.count(image_id) > 1})
        raise DataError(f"image ids: required unique ones, found {', '.join(map(str, twice[:5]))} more than once")


@dataclass(frozen=True)
class _Part:
    """One image and category, best score first."""

    image: int
    category: int
    score: NDArray[np.float32]
    matched: Flags  # (10, n)
    ignored: Flags  # (10, n)


def _image(index: int, labeled: GroundTruth, found: Detections, column: dict[int, int]) -> list[_Part]:
    boxes, scores, labels = _boxes(found.boxes), found.scores.cpu().float().numpy(), found.labels.cpu().numpy()
    truth, truth_labels, crowd = _boxes(labeled.boxes), labeled.labels.cpu().numpy(), labeled.crowd.cpu().numpy()
    parts = []
    for category in np.unique(labels):
        if int(category) not in column:
            continue
        rows = np.flatnonzero(labels == category)
        rows = rows[np.argsort(-scores[rows], kind="stable")][:MOST_DETECTIONS]
        of_category = truth_labels == category
        overlaps = iou(boxes[rows], truth[of_category], crowd[of_category])
        matched, ignored = greedy(overlaps, crowd[of_category])
        parts.append(_Part(index, int(category), scores[rows], matched, ignored))
    return parts


def greedy(overlaps: NDArray[np.float64], crowd: Flags) -> tuple[Flags, Flags]:
    """(detections, objects) IoU, best score first → matched to an object, lies in a crowd; (10, detections) each.

    A detection takes the free object that it overlaps most, the last of equals; detections without an object may match
    a crowd.
    """
    levels = np.arange(len(IOU_THRESHOLDS))
    matched = np.zeros((len(levels), len(overlaps)), np.bool_)
    ignored = np.zeros_like(matched)
    in_crowd = overlaps[:, crowd].max(axis=1, initial=0)
    single = overlaps[:, ~crowd]
    free = np.ones((len(levels), single.shape[1]), np.bool_)
    last = single.shape[1] - 1
    for row in np.flatnonzero(overlaps.max(axis=1, initial=0) >= IOU_THRESHOLDS[0]):
        if last >= 0:
            candidates = np.where(free, single[row], -1.0)
            best = last - candidates[:, ::-1].argmax(axis=1)
            hit = candidates[levels, best] >= IOU_THRESHOLDS
            free[levels[hit], best[hit]] = False
            matched[:, row] = hit
        ignored[:, row] = ~matched[:, row] & (in_crowd[row] >= IOU_THRESHOLDS)
    return matched, ignored


def iou(detected: Boxes, objects: Boxes, crowd: Flags) -> NDArray[np.float64]:
    """(detections, objects) intersection over union, for a crowd over the detection's own area."""
    first, second = detected[:, None], objects[None]
    size = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:]) - np.maximum(
        first[..., :2], second[..., :2]
    )
    shared = np.where((size > 0).all(axis=2), size.prod(axis=2), 0.0)
    own, other = first[..., 2:].prod(axis=2), second[..., 2:].prod(axis=2)
    union = np.where(crowd, own, own + other - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _boxes(corners: Tensor) -> Boxes:
    """Left, top, width, height in float64, as COCO's files have them."""
    values = corners.detach().to("cpu", torch.float64).reshape(-1, 4).numpy()
    return np.concatenate([values[:, :2], values[:, 2:] - values[:, :2]], axis=1)


def _joined(parts: Sequence[_Part], objects: NDArray[np.int32], categories: Sequence[int]) -> Matches:
    sizes = [len(part.score) for part in parts]
    empty = np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)
    return Matches(
        image=np.repeat(np.array([part.image for part in parts], np.int32), sizes),
        category=np.repeat(np.array([part.category for part in parts], np.int32), sizes),
        score=np.concatenate([np.zeros(0, np.float32), *(part.score for part in parts)]),
        matched=np.concatenate([empty, *(part.matched for part in parts)], axis=1),
        ignored=np.concatenate([empty, *(part.ignored for part in parts)], axis=1),
        objects=objects,
        categories=np.array(categories, np.int32),
    )
