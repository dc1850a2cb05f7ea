"""Masks and keypoints in files in COCO format, read only for detectors that find them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpnkit.data.segments import Rle, rle_of
from fpnkit.runs.results import Part

COCO_KEYPOINTS = 17  # of a person
_KEYPOINTS = (COCO_KEYPOINTS, 3)

Entry = Mapping[str, Any]  # an annotation
Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class LabeledParts:
    """Of the objects of one image, in the file's order; None: not asked for, or not in the file."""

    masks: tuple[Rle, ...] | None = None
    keypoints: NDArray[np.float64] | None = None  # (n, 17, 3)
    areas: NDArray[np.float64] | None = None  # (n,) beside keypoints


@dataclass
class PartsOfSet:
    """What a file says."""

    found: tuple[Part, ...]
    by_image: dict[int, LabeledParts]
    problems: dict[str, list[object]] = field(default_factory=dict)  # title → annotations


def read_parts(annotations: Sequence[Entry], sizes: Mapping[int, Size], wanted: Sequence[Part]) -> PartsOfSet:
    """`sizes`: of the images that count, by id. A part that no annotation has is not labeled."""
    entries = [(number, entry) for number, entry in enumerate(annotations) if entry["image_id"] in sizes]
    keys: dict[Part, str] = {"mask": "segmentation", "keypoint": "keypoints"}
    found = tuple(part for part in wanted if any(entry.get(keys[part]) for _, entry in entries))
    problems: defaultdict[str, list[object]] = defaultdict(list)
    by_image: defaultdict[int, list[tuple[Rle | None, NDArray[np.float64]]]] = defaultdict(list)
    areas: defaultdict[int, list[float]] = defaultdict(list)
    for number, entry in entries:
        name = str(entry["id"]) if "id" in entry else f"at index {number}"
        mask = _mask(name, entry, sizes[entry["image_id"]], problems) if "mask" in found else None
        points = _points(name, entry, problems) if "keypoint" in found else np.zeros(_KEYPOINTS)
        by_image[entry["image_id"]].append((mask, points))
        areas[entry["image_id"]].append(entry.get("area", entry["bbox"][2] * entry["bbox"][3]))
    if problems:
        return PartsOfSet(found, {}, dict(problems))
    parts = {number: _of_image(those, areas[number], found) for number, those in by_image.items()}
    nothing = {number: _of_image([], [], found) for number in sizes if number not in parts}
    return PartsOfSet(found, parts | nothing)


def _of_image(
    rows: Sequence[tuple[Rle | None, NDArray[np.float64]]], areas: Sequence[float], found: Sequence[Part]
) -> LabeledParts:
    masks = tuple(mask for mask, _ in rows if mask is not None) if "mask" in found else None
    if "keypoint" not in found:
        return LabeledParts(masks)
    points = np.array([points for _, points in rows], np.float64).reshape(-1, *_KEYPOINTS)
    return LabeledParts(masks, points, np.array(areas, np.float64))


def _mask(name: str, entry: Entry, size: Size, problems: defaultdict[str, list[object]]) -> Rle | None:
    if not entry.get("segmentation"):
        problems["annotations without segmentation, which others have"].append(name)
        return None
    try:
        return rle_of(entry["segmentation"], *size)
    except (ValueError, OverflowError) as error:  # the latter: whole numbers of hundreds of digits
        problems["broken segmentations of annotations"].append(f"{name} ({error})")
        return None


def _points(name: str, entry: Entry, problems: defaultdict[str, list[object]]) -> NDArray[np.float64]:
    """All unlabeled where there are none: detections of the object count neither way."""
    values = entry.get("keypoints")
    if not values:
        return np.zeros(_KEYPOINTS)
    broken = None
    points = np.array(values, np.float64)
    if points.size != COCO_KEYPOINTS * 3:
        broken = f"required x, y and visibility of {COCO_KEYPOINTS} points, found {points.size} numbers"
    elif not np.isfinite(points).all():
        broken = "required finite numbers"
    elif not entry.get("area", 0) > 0:
        broken = "required the object's area"
    elif entry.get("num_keypoints", labeled := int((points[2::3] > 0).sum())) != labeled:
        broken = f"required num_keypoints {labeled} as labeled, found {entry['num_keypoints']}"
    if broken is None:
        return points.reshape(_KEYPOINTS)
    problems["broken keypoints of annotations"].append(f"{name} ({broken})")
    return np.zeros(_KEYPOINTS)
