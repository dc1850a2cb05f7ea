"""A pyramid as one grid: all values that lie over a cell form one vector.

Cells are as large as the coarsest stride, or smaller: then several cells repeat a coarser level's value, and what is
decoded of it is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.errors import PyramidError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SIDE_CHANNELS = 3  # of `what_both_know`
_LARGEST_STRIDE = (
    32  # unless asked for: cells of 64 pixels of a wide pyramid hold 87,000 values, too many to learn from
)
_SIDE_STEPS = 64  # numbers in it are multiples of 1/64, and therefore exact on every machine


@dataclass(frozen=True)
class Place:
    """Where a level stands in a cell's vector."""

    values: slice
    each: int  # values of each channel
    share: float  # of a value of the level that one in a cell stands for; below 1 where cells repeat it


class CellLayout:
    """Where the values of some levels stand in a cell's vector: level by level, each channel row by row."""

    def __init__(self, spec: PyramidSpec, names: Sequence[str] | None = None, stride: int | None = None) -> None:
        """`names`: the levels that take part (default: all); `stride`: of cells (default: the coarsest, at most 32).

        Raises `PyramidError` for a stride that is neither a multiple nor a part of a level's.
        """
        self.levels = tuple(level for level in spec.levels if names is None or level.name in names)
        self.stride = stride or _default_stride(spec)
        for level in self.levels:
            if level.stride % self.stride and self.stride % level.stride:
                required = f"a multiple or a part of stride {level.stride} of {level.name}"
                raise PyramidError(f"codec.stride: required {required}, found {self.stride}")
        self._ratios = {level.name: max(1, self.stride // level.stride) for level in self.levels}
        self._repeats = {level.name: max(1, level.stride // self.stride) for level in self.levels}
        self._widths = {level.name: level.channels * self._ratios[level.name] ** 2 for level in self.levels}

    @property
    def values(self) -> int:
        """Length of a cell's vector."""
        return sum(self._widths.values())

    def places(self) -> dict[str, Place]:
        """Of each level."""
        found, start = {}, 0
        for name, width in self._widths.items():
            share = 1 / self._repeats[name] ** 2
            found[name] = Place(slice(start, start + width), self._ratios[name] ** 2, share)
            start += width
        return found

    def grid(self, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """(rows, columns) of cells that hold levels of these sizes."""
        rows, columns = (max(self._cells(level, sizes[level.name][side]) for level in self.levels) for side in (0, 1))
        return rows, columns

    def _cells(self, level: LevelSpec, length: int) -> int:
        """The fewest of which each value of a level's side has one."""
        return (length - 1) * self._repeats[level.name] // self._ratios[level.name] + 1

    def packed(self, pyramid: Pyramid, grid: tuple[int, int]) -> Tensor:
        """(batch, values, rows, columns); edge values are repeated where a level does not fill the grid."""
        parts = []
        for name, ratio in self._ratios.items():
            level, repeats = pyramid[name], self._repeats[name]
            if repeats > 1:
                level = level.repeat_interleave(repeats, 2)[:, :, : grid[0]].repeat_interleave(repeats, 3)[
                    ..., : grid[1]
                ]
            below, right = grid[0] * ratio - level.shape[-2], grid[1] * ratio - level.shape[-1]
            padded = F.pad(level, (0, right, 0, below), mode="replicate") if below or right else level
            parts.append(F.pixel_unshuffle(padded, ratio))
        return torch.cat(parts, dim=1)

    def unpacked(self, cells: Tensor, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        """The inverse of `packed`."""
        levels = {}
        for name, part in zip(self._widths, torch.split(cells, list(self._widths.values()), dim=1), strict=True):
            if self._repeats[name] > 1:
                levels[name] = F.avg_pool2d(part, self._repeats[name], ceil_mode=True, count_include_pad=False)
            else:
                levels[name] = F.pixel_shuffle(part, self._ratios[name])
        return Pyramid(levels).cropped(sizes)


def _default_stride(spec: PyramidSpec) -> int:
    return min(spec.coarsest_stride, max(_LARGEST_STRIDE, spec.levels[0].stride))


def what_both_know(geometry: Sequence[ImageGeometry] | None, batch: int, grid: tuple[int, int], stride: int) -> Tensor:
    """(batch, 3, rows, columns): the share of each cell that is picture, its row and its column from -1 to 1.

    Made of whole numbers, so that sender and receiver have the same ones.
    """
    rows, columns = (torch.arange(count) for count in grid)
    y = _multiples(2 * rows + 1 - grid[0], grid[0])[:, None].expand(grid)
    x = _multiples(2 * columns + 1 - grid[1], grid[1])[None].expand(grid)
    shares = [torch.ones(grid)] * batch if geometry is None else [_share(each, grid, stride) for each in geometry]
    return torch.stack([torch.stack([share, y, x]) for share in shares])


def _share(geometry: ImageGeometry, grid: tuple[int, int], stride: int) -> Tensor:
    rows, columns = (
        torch.tensor([_overlap(i * stride, (i + 1) * stride, start, start + length) for i in range(count)])
        for count, start, length in zip(grid, geometry.offset, geometry.content, strict=True)
    )
    return _multiples(rows[:, None] * columns, stride**2)


def _overlap(a_start: int, a_end: int, b_start: int, b_end: int) -> int:
    return max(0, min(a_end, b_end) - max(a_start, b_start))


def _multiples(numerator: Tensor, denominator: int) -> Tensor:
    """The quotient of whole numbers, rounded down to a multiple of 1/64."""
    return torch.div(numerator * _SIDE_STEPS, denominator, rounding_mode="floor") / _SIDE_STEPS
