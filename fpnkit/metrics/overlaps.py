"""How much a detection overlaps an object, as COCO defines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth

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


BOXES = Kind(100, crowds, box_overlap)


def joined(parts: Sequence[Tensor], dtype: torch.dtype, *shape: int) -> Tensor:
    """Rows of all images, on the CPU; `shape`: of a row, for sets without any."""
    return torch.cat([torch.zeros(0, *shape, dtype=dtype), *(part.detach().to("cpu", dtype) for part in parts)])


def _boxes(corners: Sequence[Tensor]) -> Boxes:
    """In float64, as COCO's files have them."""
    values: Boxes = joined([each.reshape(-1, 4) for each in corners], torch.float64, 4).numpy()
    return np.concatenate([values[:, :2], values[:, 2:] - values[:, :2]], axis=1)
