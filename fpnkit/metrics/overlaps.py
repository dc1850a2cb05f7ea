"""How much a detection overlaps an object, as COCO defines it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpnkit.data.coco_parts import COCO_KEYPOINTS
from fpnkit.data.segments import mask_tools
from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.runs.results import Part

# How far apart people place each point, of the root of the object's area.
_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000

Boxes = NDArray[np.float64]  # (n, 4) left, top, width, height
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]  # of the objects or detections of all images, one after the other
Overlap = Callable[[Rows, Rows], NDArray[np.float64]]  # (pairs,) detection, (pairs,) object → (pairs,) in [0, 1]


@dataclass(frozen=True)
class Kind:
    """What of a detection is compared."""

    most_detections: int  # of an image and category
    ignored: Callable[[Sequence[GroundTruth]], Flags]  # objects of all images: detections of them count neither way
    overlap: Callable[[Sequence[GroundTruth], Sequence[Detections]], Overlap]


def crowds(truth: Sequence[GroundTruth]) -> Flags:
    """(objects of all images,)."""
    flags: Flags = joined([image.crowd for image in truth], torch.bool).numpy()
    return flags


def box_overlap(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> Overlap:
    """Intersection over union, for a crowd over the detection's own area."""
    detected, objects = (_boxes([image.boxes for image in side]) for side in (detections, truth))
    crowd = crowds(truth)

    def overlap(detection: Rows, labeled: Rows) -> NDArray[np.float64]:
        first, second = detected[detection], objects[labeled]
        size = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:]) - np.maximum(
            first[:, :2], second[:, :2]
        )
        shared = np.where((size > 0).all(axis=1), size.prod(axis=1), 0.0)
        own, other = first[:, 2:].prod(axis=1), second[:, 2:].prod(axis=1)
        union = np.where(crowd[labeled], own, own + other - shared)
        return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)

    return overlap


def mask_overlap(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> Overlap:
    """The same of pixels."""
    iou = mask_tools().iou
    detected = [mask for found in detections for mask in found.rles or ()]
    objects = [mask for image in truth for mask in image.masks or ()]
    crowd = crowds(truth)

    def overlap(detection: Rows, labeled: Rows) -> NDArray[np.float64]:
        """Detections of one image and category meet the same objects, in the same order."""
        values = []
        for pairs in _alike(detection, labeled):
            rows, columns = np.unique(detection[pairs]), np.unique(labeled[pairs])
            some = iou([detected[row] for row in rows], [objects[row] for row in columns], crowd[columns].tolist())
            places = np.searchsorted(rows, detection[pairs]), np.searchsorted(columns, labeled[pairs])
            values.append(np.asarray(some)[places])
        return np.concatenate([np.zeros(0), *values])

    return overlap


def _alike(detection: Rows, labeled: Rows) -> Iterator[Rows]:
    """Positions of pairs with the same objects."""
    first = labeled[np.flatnonzero(np.diff(detection, prepend=-1))]
    sizes = np.diff(np.flatnonzero(np.diff(detection, prepend=-1)), append=len(detection))
    yield from np.split(np.arange(len(detection)), np.flatnonzero(np.diff(first.repeat(sizes))) + 1)


def keypoint_overlap(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> Overlap:
    """COCO's similarity of keypoints: of those labeled, by distance, the object's area and what is known of the point.

    Of an object without labeled points, whether the points lie in its box or as far again around it.
    """
    detected = _points([found.keypoints for found in detections])[:, :, :2]
    objects = _points([image.keypoints for image in truth])
    boxes = _boxes([image.boxes for image in truth])
    areas = joined([image.areas for image in truth if image.areas is not None], torch.float64).numpy()
    low, high = boxes[:, :2] - boxes[:, 2:], boxes[:, :2] + 2 * boxes[:, 2:]

    def overlap(detection: Rows, labeled: Rows) -> NDArray[np.float64]:
        points, known = detected[detection], objects[labeled, :, 2] > 0
        any_known = known.any(axis=1)
        outside = [low[labeled, None] - points, points - high[labeled, None]]
        around = sum(np.maximum(0, each) for each in outside)
        distance = np.where(any_known[:, None, None], points - objects[labeled, :, :2], around)
        squares = (distance**2).sum(axis=2) / (2 * _SIGMAS) ** 2 / (areas[labeled, None] + np.spacing(1)) / 2
        counted = known | ~any_known[:, None]
        similarity: NDArray[np.float64] = (np.exp(-squares) * counted).sum(axis=1) / counted.sum(axis=1)
        return similarity

    return overlap


def without_keypoints(truth: Sequence[GroundTruth]) -> Flags:
    """Objects that have none labeled."""
    flags: Flags = ~(_points([image.keypoints for image in truth])[:, :, 2] > 0).any(axis=1)
    return flags


BOXES = Kind(100, crowds, box_overlap)
KINDS: Mapping[Part, Kind] = {
    "mask": Kind(100, crowds, mask_overlap),
    "keypoint": Kind(20, without_keypoints, keypoint_overlap),
}


def _points(parts: Sequence[Tensor | None]) -> NDArray[np.float64]:
    """(n of all images, 17, 3)."""
    shape = COCO_KEYPOINTS, 3
    points: NDArray[np.float64] = joined([each for each in parts if each is not None], torch.float64, *shape).numpy()
    return points


def joined(parts: Sequence[Tensor], dtype: torch.dtype, *shape: int) -> Tensor:
    """Rows of all images, on the CPU; `shape`: of a row, for sets without any."""
    return torch.cat([torch.zeros(0, *shape, dtype=dtype), *(part.detach().to("cpu", dtype) for part in parts)])


def _boxes(corners: Sequence[Tensor]) -> Boxes:
    """In float64, as COCO's files have them."""
    values: Boxes = joined([each.reshape(-1, 4) for each in corners], torch.float64, 4).numpy()
    return np.concatenate([values[:, :2], values[:, 2:] - values[:, :2]], axis=1)
