"""Which objects a detector still finds after its features were coded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.ops import box_iou

from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth

IOU = 0.5  # from which on a box counts as found

# Areas in pixels of the original image as COCO has them (Lin et al. 2014): below 32², up to 96², above.
SIZES = ("small", "medium", "large")
_BOUNDS = (32**2, 96**2)


@dataclass(frozen=True)
class DetectionMatch:
    """The detection matched to each object; score and overlap are 0 if there is none."""

    scores: Tensor  # (object,)
    overlaps: Tensor  # (object,) intersection over union


def find(boxes: Tensor, labels: Tensor, detections: Detections) -> DetectionMatch:
    """Match like COCO: each detection, best score first, takes the free object of its class that it overlaps most."""
    scores, overlaps = torch.zeros(len(boxes)), torch.zeros(len(boxes))
    if not len(boxes) or not len(detections.boxes):
        return DetectionMatch(scores, overlaps)
    table = box_iou(detections.boxes.float(), boxes.float())
    table[detections.labels[:, None] != labels[None, :]] = 0
    for index in detections.scores.argsort(descending=True, stable=True).tolist():
        best = int(table[index].argmax())
        overlap = float(table[index, best])
        if overlap >= IOU:
            scores[best], overlaps[best] = detections.scores[index], overlap
            table[:, best] = 0
    return DetectionMatch(scores, overlaps)


def object_rows(
    truth: GroundTruth, before: Detections, after: Detections, threshold: float, categories: Mapping[int, str]
) -> list[dict[str, object]]:
    """One row per object of one image.

    `truth` is "detector" for detections on uncompressed features with a score of at least `threshold`, and "label" for
    labeled objects without crowds. An object counts as found if a detection with at least `threshold` matches it.
    """
    sure = before.scores >= threshold
    kinds = {
        "detector": (before.boxes[sure], before.labels[sure]),
        "label": (truth.boxes[~truth.crowd], truth.labels[~truth.crowd]),
    }
    rows: list[dict[str, object]] = []
    for kind, (boxes, labels) in kinds.items():
        first, second = find(boxes, labels, before), find(boxes, labels, after)
        for index, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True)):
            score = float(first.scores[index])
            score_after = float(second.scores[index])
            rows.append(
                {
                    "image": truth.image_id,
                    "truth": kind,
                    "category": categories.get(label, f"class {label}"),
                    "size": size_of(box),
                    "area": (box[2] - box[0]) * (box[3] - box[1]),
                    "score": score,
                    "score_after": score_after,
                    "overlap_after": float(second.overlaps[index]),
                    "lost": score >= threshold > score_after,
                    "found": score >= threshold,
                }
            )
    return rows


OBJECT_COLUMNS = (
    *("image", "truth", "category", "size", "area"),
    *("score", "score_after", "overlap_after", "lost", "found"),
)


def size_of(box: Sequence[float]) -> str:
    """COCO's size class of a box (left, top, right, bottom)."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return SIZES[sum(area >= bound for bound in _BOUNDS)]


def lost_shares(objects: pd.DataFrame, by: str) -> pd.DataFrame:
    """Per group: how many objects were found before, how many of them are lost, and the share with its 95 % interval.

    `objects` are rows of one kind of truth. The interval is Wilson's (1927), which also holds for few objects.
    """
    found = objects[objects["found"]]
    groups = found.groupby(by, sort=False, observed=True)["lost"].agg(["size", "sum"])
    rows = []
    for name, (count, lost) in zip(groups.index, groups.to_numpy().tolist(), strict=True):
        rows.append((name, int(count), int(lost), lost / count, *_wilson(int(lost), int(count))))
    return pd.DataFrame(rows, columns=[by, "objects", "lost", "share", "low", "high"])


def score_bins(objects: pd.DataFrame, threshold: float, edges: Sequence[float] = (0.4, 0.5, 0.6, 0.8)) -> pd.DataFrame:
    """`lost_shares` by the score in uncompressed features; bins include their lower edge."""
    bounds = [threshold, *(edge for edge in edges if edge > threshold), 1.0]
    names = [f"{low:.2g}-{high:.2g}" for low, high in pairwise(bounds)]
    places = np.searchsorted(bounds[1:-1], objects["score"].to_numpy(float), side="right")
    table = lost_shares(objects.assign(score_bin=[names[place] for place in places]), "score_bin")
    return table.sort_values("score_bin", ignore_index=True)


def _wilson(hits: int, count: int) -> tuple[float, float]:
    z = 1.959964
    share, scale = hits / count, 1 + z**2 / count
    center = (share + z**2 / (2 * count)) / scale
    half = z / scale * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, center - half), min(1.0, center + half)
