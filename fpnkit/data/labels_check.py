"""Signs that labels in COCO format do not mean what COCO means: corners for sizes, fractions for pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fpnkit.data.files import first_five

_SLACK = 1.0  # pixels by which a box may leave its image: rounding
_ACCIDENT = 0.02  # share of wrong entries that may be slips of those who drew the boxes

Boxes = NDArray[np.float64]  # (n, 4) left, top, width, height in pixels


@dataclass(frozen=True)
class Doubt:
    """One kind of entry that is hardly right."""

    text: str
    accident: bool  # few enough to be slips


def doubts(boxes: Boxes, image_index: Sequence[int], sizes: Boxes, annotation_ids: Sequence[int]) -> list[Doubt]:
    """Of all boxes, with the index of the image of each, and the (n, 2) height and width of all images."""
    if not len(boxes):
        return [
            Doubt("boxes: required at least one, found none; a set without labels is `kind: folder`", accident=False)
        ]
    found = (
        _fractions(boxes),
        _outside(boxes, sizes[np.array(image_index)]),
        _flat(boxes),
        _repeated(annotation_ids),
        _without_boxes(len(set(image_index)), len(sizes)),
    )
    return [doubt for doubt in found if doubt is not None]


def _without_boxes(labeled: int, images: int) -> Doubt | None:
    if 2 * labeled >= images:
        return None
    return Doubt(f"images without any box: {images - labeled} of {images}", accident=True)


def _fractions(boxes: Boxes) -> Doubt | None:
    if boxes.max() > 1 or not boxes[:, 2:].max() > 0:
        return None
    text = (
        f"boxes: required pixels, found nothing but numbers from 0 to 1, such as {_shown(boxes[0])}; fractions of the "
    )
    return Doubt(text + "image have to be multiplied by its width and height", accident=False)


def _outside(boxes: Boxes, sizes: NDArray[np.float64]) -> Doubt | None:
    ends, limits = boxes[:, :2] + boxes[:, 2:], sizes[:, ::-1]
    outside = ((boxes[:, :2] < -_SLACK) | (ends > limits + _SLACK)).any(axis=1)
    if not outside.any():
        return None
    first = int(outside.argmax())
    height, width = sizes[first].astype(int)
    found = f"{outside.sum()} of {len(boxes)}, the first is {_shown(boxes[first])} in an image of {width} x {height}"
    text = f"boxes that leave their image: {found}"
    corners = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (boxes[:, 2:] <= limits + _SLACK).all(axis=1)
    if corners.all():
        text += "; they look like left, top, right, bottom, required are left, top, width, height"
    return Doubt(text, _few(outside.sum(), len(boxes)))


def _flat(boxes: Boxes) -> Doubt | None:
    flat = (boxes[:, 2:] == 0).any(axis=1)
    if not flat.any():
        return None
    return Doubt(f"boxes of no area left out: {first_five(boxes[flat].tolist())}", _few(flat.sum(), len(boxes)))


def _repeated(ids: Sequence[int]) -> Doubt | None:
    numbers, times = np.unique(np.array(ids, dtype=np.int64), return_counts=True)
    repeated = numbers[times > 1].tolist()
    if not repeated:
        return None
    return Doubt(f"annotation ids that occur twice: {first_five(repeated)}", _few(times[times > 1].sum(), len(ids)))


def _few(count: int, total: int) -> bool:
    return count <= max(1, _ACCIDENT * total)


def _shown(box: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
