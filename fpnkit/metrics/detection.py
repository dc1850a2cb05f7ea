"""COCO's average precision (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import Tensor

from fpnkit.data.images import Sample
from fpnkit.detectors.base import Detections
from fpnkit.errors import DataError


@dataclass(frozen=True)
class GroundTruth:
    """What is in one image; a `Sample` without its pixels, so that a whole set fits into memory."""

    image_id: int
    boxes: Tensor  # (n, 4) left, top, right, bottom in pixels
    labels: Tensor  # (n,) category ids
    crowd: Tensor  # bool (n,): a region of many objects; detections in it count neither way

    @classmethod
    def of(cls, sample: Sample) -> GroundTruth:
        """Drop the pixels."""
        return cls(sample.image_id, sample.boxes, sample.labels, sample.crowd)


@dataclass(frozen=True)
class DetectionScores:
    """Averages over categories, in [0, 1]; None where no object is labelled, so that nothing can be scored."""

    map: float | None  # AP@[.50:.95]
    map50: float | None  # AP@.50


def average_precision(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> DetectionScores:
    """Score the detections of each image against its truth, at most 100 of an image; both in the same order.

    Categories are those of the truth: what is detected of another one counts nothing, as COCO has it.
    """
    ids = [image.image_id for image in truth]
    if len(set(ids)) != len(ids):
        twice = sorted({image_id for image_id in ids if ids.count(image_id) > 1})
        raise DataError(f"image ids: required unique ones, found {', '.join(map(str, twice[:5]))} more than once")
    if all(bool(image.crowd.all()) for image in truth):
        return DetectionScores(None, None)
    results = [entry for image in zip(ids, detections, strict=True) for entry in _results(*image)]
    if not results:
        return DetectionScores(0.0, 0.0)
    labelled = COCO(_dataset(truth))
    evaluation = COCOeval_faster(labelled, labelled.loadRes(results), iouType="bbox", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return DetectionScores(float(evaluation.stats[0]), float(evaluation.stats[1]))


def _dataset(truth: Sequence[GroundTruth]) -> dict[str, list[dict[str, Any]]]:
    objects = [
        {"image_id": image.image_id, "bbox": box, "area": box[2] * box[3], "category_id": label, "iscrowd": int(crowd)}
        for image in truth
        for box, label, crowd in zip(
            _corner_and_size(image.boxes), image.labels.tolist(), image.crowd.tolist(), strict=True
        )
    ]
    return {
        "images": [{"id": image.image_id} for image in truth],
        "categories": [{"id": label} for label in sorted({entry["category_id"] for entry in objects})],
        "annotations": [{"id": number} | entry for number, entry in enumerate(objects, start=1)],
    }


def _results(image_id: int, found: Detections) -> list[dict[str, Any]]:
    parts = zip(_corner_and_size(found.boxes), found.scores.tolist(), found.labels.tolist(), strict=True)
    return [{"image_id": image_id, "bbox": box, "score": score, "category_id": label} for box, score, label in parts]


def _corner_and_size(boxes: Tensor) -> list[list[float]]:
    """COCO's left, top, width, height; in float64, as from a file."""
    corners = boxes.to("cpu", torch.float64)
    values: list[list[float]] = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
    return values


def _silent(*_: object) -> None:
    pass
