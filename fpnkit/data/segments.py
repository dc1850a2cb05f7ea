"""Masks as COCO's files have them, run-length encoded. pycocotools is imported only here, and only when needed."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fpnkit.container import MAX_SIDE
from fpnkit.errors import UserError

MISSING = 'masks: required pycocotools, found none; pip install "fpnkit[masks]" installs it'
_FEWEST_NUMBERS = 6  # of a polygon: x and y of three points
_OFFSET, _BITS, _MORE, _SIGN = 48, 5, 32, 16  # of compressed counts: a character holds five bits


class Rle(TypedDict):
    """Pixels in columns: how many are outside, how many inside, and so on."""

    size: list[int]  # height, width
    counts: str  # compressed


def mask_tools() -> Any:
    """`pycocotools.mask`. Raises `UserError` without it."""
    try:
        from pycocotools import mask
    except ImportError as error:
        raise UserError(MISSING) from error
    return mask


def encode(masks: NDArray[np.bool_]) -> tuple[Rle, ...]:
    """(n, height, width)."""
    if not len(masks):
        return ()
    columns = np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)
    return tuple(_text(each) for each in mask_tools().encode(columns))


def rle_of(segmentation: object, height: int, width: int) -> Rle:
    """From polygons, counts or compressed counts of one object. Raises `ValueError` that says what is wrong."""
    tools = mask_tools()
    if isinstance(segmentation, list):
        polygons = [[float(number) for number in _numbers(polygon, "polygons")] for polygon in segmentation]
        if any(len(polygon) < _FEWEST_NUMBERS or len(polygon) % 2 for polygon in polygons):
            raise ValueError("polygons: required x and y of three points or more")
        if not all(abs(number) <= MAX_SIDE for polygon in polygons for number in polygon):  # nor if it is NaN
            # pycocotools takes memory in proportion to a polygon's length
            raise ValueError(f"polygons: required numbers within {MAX_SIDE}")
        return _text(tools.merge(tools.frPyObjects(polygons, height, width)))
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("required polygons, or `size` and `counts`")
    size, counts = segmentation["size"], segmentation["counts"]
    if size != [height, width]:
        raise ValueError(f"size: required {[height, width]} of the image, found {size}")
    known = _decompressed(counts) if isinstance(counts, str) else np.array(_numbers(counts, "counts"), np.float64)
    if (known < 0).any() or known.sum() != height * width or (known != np.floor(known)).any():
        raise ValueError(f"counts: required {height * width} pixels in all")
    if isinstance(counts, str):
        return Rle(size=[height, width], counts=counts)
    return _text(tools.frPyObjects({"size": size, "counts": [int(count) for count in counts]}, height, width))


def _numbers(values: object, what: str) -> list[Any]:
    if not isinstance(values, list) or not all(type(number) in (int, float) for number in values):
        raise ValueError(f"{what}: required lists of numbers")
    return values


def _text(encoded: dict[str, Any]) -> Rle:
    return Rle(size=[int(side) for side in encoded["size"]], counts=encoded["counts"].decode())


def _decompressed(text: str) -> NDArray[np.float64]:
    """The counts: each character has five bits, the lowest first; from the fourth count on, differences to the second
    before. pycocotools believes anything and reads behind the end.
    """
    codes = np.frombuffer(text.encode(errors="replace"), np.uint8).astype(np.int64) - _OFFSET
    ends = codes & _MORE == 0
    if ((codes < 0) | (codes >= 2 * _MORE)).any() or (len(ends) and not ends[-1]):
        raise ValueError("counts: required compressed counts, found something else")
    starts = np.flatnonzero(np.concatenate([[True], ends[:-1]])[: len(codes)])
    place = np.arange(len(codes)) - starts.repeat(np.diff(starts, append=len(codes)))
    if len(codes) and place.max() > 60 // _BITS - 1:
        raise ValueError("counts: required compressed counts, found something else")
    values = np.add.reduceat((codes & (_MORE - 1)) << _BITS * place, starts) if len(codes) else codes
    negative = codes[ends] & _SIGN != 0
    values = values - (negative.astype(np.int64) << _BITS * (place[ends] + 1))
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    counts: NDArray[np.float64] = values.astype(np.float64)
    return counts
