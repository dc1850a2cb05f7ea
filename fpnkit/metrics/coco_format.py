"""Convert labeled objects and detections to COCO's JSON and back without loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fpnkit.data.images import Sample
from fpnkit.detectors.base import Detections


@dataclass(frozen=True)
class GroundTruth:
    """The labels of one image: a `Sample` without its pixels, so that a whole set fits into memory."""

    image_id: int
    boxes: Tensor  # (n, 4) left, top, right, bottom in pixels
    labels: Tensor  # (n,) category ids
    crowd: Tensor  # bool (n,): a region of many objects; detections in it count neither way

    @classmethod
    def of(cls, sample: Sample) -> GroundTruth:
        """Drop the pixels."""
        return cls(sample.image_id, sample.boxes, sample.labels, sample.crowd)


def truth_to_coco(truth: Sequence[GroundTruth]) -> dict[str, list[dict[str, Any]]]:
    """A data set file; its categories are the ones that occur."""
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


def truth_from_coco(content: Mapping[str, Any]) -> list[GroundTruth]:
    """The inverse of `truth_to_coco`, image by image in the file's order."""
    entries = _by_image(content["annotations"])
    return [
        GroundTruth(
            image["id"],
            _corners(those := entries[image["id"]]),
            torch.tensor([entry["category_id"] for entry in those], dtype=torch.int64),
            torch.tensor([bool(entry["iscrowd"]) for entry in those], dtype=torch.bool),
        )
        for image in content["images"]
    ]


def detections_to_coco(image_id: int, found: Detections) -> list[dict[str, Any]]:
    """Entries of a results file."""
    parts = zip(_corner_and_size(found.boxes), found.scores.tolist(), found.labels.tolist(), strict=True)
    return [{"image_id": image_id, "bbox": box, "score": score, "category_id": label} for box, score, label in parts]


def detections_from_coco(entries: Sequence[Mapping[str, Any]]) -> Detections:
    """The boxes of one image."""
    return Detections(
        boxes=_corners(entries),
        scores=torch.tensor([entry["score"] for entry in entries], dtype=torch.float32),
        labels=torch.tensor([entry["category_id"] for entry in entries], dtype=torch.int64),
    )


def _by_image(entries: Sequence[Mapping[str, Any]]) -> Mapping[int, list[Mapping[str, Any]]]:
    result: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in entries:
        result[entry["image_id"]].append(entry)
    return result


def _corner_and_size(boxes: Tensor) -> list[list[float]]:
    """COCO's left, top, width, height; in float64, where the difference of two float32 is exact."""
    corners = boxes.to("cpu", torch.float64)
    values: list[list[float]] = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
    return values


def _corners(entries: Sequence[Mapping[str, Any]]) -> Tensor:
    boxes = torch.tensor([entry["bbox"] for entry in entries], dtype=torch.float64).reshape(-1, 4)
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1).float()
