"""Levels of a pyramid as one gray frame: one tile per channel, level below level.

The finest level's tiles form a roughly square frame; every other level fills the same width. The layout follows from
the levels' shapes, (channel, height, width) each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpnkit.anchors.hevc import padded_side

Shape = tuple[int, int, int]
Array = NDArray[Any]


@dataclass(frozen=True)
class _Block:
    """Where a level's tiles are."""

    top: int
    rows: int  # of tiles
    columns: int


def frame_size(shapes: Sequence[Shape]) -> tuple[int, int]:
    """(height, width), as HEVC can code it."""
    blocks = _blocks(shapes)
    height = blocks[-1].top + blocks[-1].rows * shapes[-1][1]
    return padded_side(height), padded_side(_width(shapes))


def tile(levels: Sequence[Array], fill: int) -> Array:
    """(channel, height, width) each → (height, width); `fill` where there is no tile."""
    shapes = [(level.shape[0], level.shape[1], level.shape[2]) for level in levels]
    frame = np.full(frame_size(shapes), fill, dtype=levels[0].dtype)
    for level, block in zip(levels, _blocks(shapes), strict=True):
        channels, height, width = level.shape
        grid = np.full((block.rows * block.columns, height, width), fill, dtype=level.dtype)
        grid[:channels] = level
        rows = grid.reshape(block.rows, block.columns, height, width).swapaxes(1, 2)
        area = frame[block.top : block.top + block.rows * height, : block.columns * width]
        area[...] = rows.reshape(area.shape)
    return frame


def untile(frame: Array, shapes: Sequence[Shape]) -> list[Array]:
    """The inverse of `tile`."""
    levels = []
    for (channels, height, width), block in zip(shapes, _blocks(shapes), strict=True):
        area = frame[block.top : block.top + block.rows * height, : block.columns * width]
        rows = area.reshape(block.rows, height, block.columns, width).swapaxes(1, 2)
        levels.append(rows.reshape(-1, height, width)[:channels])
    return levels


def _width(shapes: Sequence[Shape]) -> int:
    channels, height, width = shapes[0]
    columns = max(1, round(math.sqrt(channels * height / width)))
    return max(columns * width, *(width for _, _, width in shapes))


def _blocks(shapes: Sequence[Shape]) -> list[_Block]:
    blocks, top, total = [], 0, _width(shapes)
    for channels, height, width in shapes:
        columns = min(channels, total // width)
        blocks.append(_Block(top, -(-channels // columns), columns))
        top += blocks[-1].rows * height
    return blocks
