"""Convert labeled objects and detections to COCO's JSON and back without loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from fpnkit.data.images import Sample
from fpnkit.data.segments import Rle
from fpnkit.detectors.base import Detections


@dataclass(frozen=True)
class GroundTruth:
    """The labels of one image: a `Sample` without its pixels, so that a whole set fits into memory."""

    image_id: int
    boxes: Tensor  # (n, 4) left, top, right, bottom in pixels
    labels: Tensor  # (n,) category ids
    crowd: Tensor  # bool (n,): a region of many objects; detections in it count neither way
    masks: tuple[Rle, ...] | None = None  # as in `Sample`
    keypoints: Tensor | None = None
    areas: Tensor | None = None

    @classmethod
    def of(cls, sample: Sample) -> GroundTruth:
        """Drop the pixels."""
        return cls(**{item.name: getattr(sample, item.name) for item in fields(cls)})


def truth_to_coco(truth: Sequence[GroundTruth]) -> dict[str, list[dict[str, Any]]]:
    """A data set file; its categories are the ones that occur."""
    objects = [entry for image in truth for entry in _objects(image)]
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
            _masks(those),
            _keypoints(those, torch.float64),
            _areas(those),
        )
        for image in content["images"]
    ]


def detections_to_coco(image_id: int, found: Detections) -> list[dict[str, Any]]:
    """Entries of a results file."""
    rows = zip(_corner_and_size(found.boxes), found.scores.tolist(), found.labels.tolist(), strict=True)
    parts = _part_entries(len(found.labels), found.rles, found.keypoints)
    return [
        {"image_id": image_id, "bbox": box, "score": score, "category_id": label} | more
        for (box, score, label), more in zip(rows, parts, strict=True)
    ]


def detections_from_coco(entries: Sequence[Mapping[str, Any]]) -> Detections:
    """Those of one image; masks and keypoints are None where there are no detections."""
    return Detections(
        boxes=_corners(entries),
        scores=torch.tensor([entry["score"] for entry in entries], dtype=torch.float32),
        labels=torch.tensor([entry["category_id"] for entry in entries], dtype=torch.int64),
        keypoints=_keypoints(entries, torch.float32),
        rles=_masks(entries),
    )


def _objects(image: GroundTruth) -> list[dict[str, Any]]:
    rows = zip(_corner_and_size(image.boxes), image.labels.tolist(), image.crowd.tolist(), strict=True)
    objects = [
        {"image_id": image.image_id, "bbox": box, "area": box[2] * box[3], "category_id": label, "iscrowd": int(crowd)}
        for box, label, crowd in rows
    ]
    if image.keypoints is not None and image.areas is not None:
        labeled = (image.keypoints[:, :, 2] > 0).sum(1).tolist()
        for entry, count, area in zip(objects, labeled, image.areas.tolist(), strict=True):
            entry |= {"num_keypoints": count, "area": area}
    parts = _part_entries(len(objects), image.masks, image.keypoints)
    return [entry | more for entry, more in zip(objects, parts, strict=True)]


def _part_entries(count: int, masks: Sequence[Rle] | None, keypoints: Tensor | None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [{} for _ in range(count)]
    for entry, mask in zip(entries, masks, strict=True) if masks is not None else ():
        entry["segmentation"] = mask
    for entry, points in zip(entries, keypoints.flatten(1).tolist(), strict=True) if keypoints is not None else ():
        entry["keypoints"] = points
    return entries


def _masks(entries: Sequence[Mapping[str, Any]]) -> tuple[Rle, ...] | None:
    there = entries and "segmentation" in entries[0]
    return tuple(entry["segmentation"] for entry in entries) if there else None


def _areas(entries: Sequence[Mapping[str, Any]]) -> Tensor | None:
    there = entries and "keypoints" in entries[0]  # otherwise nobody asks for it
    return torch.tensor([entry["area"] for entry in entries], dtype=torch.float64) if there else None


def _keypoints(entries: Sequence[Mapping[str, Any]], dtype: torch.dtype) -> Tensor | None:
    if not entries or "keypoints" not in entries[0]:
        return None
    return torch.tensor([entry["keypoints"] for entry in entries], dtype=dtype).reshape(len(entries), -1, 3)


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
