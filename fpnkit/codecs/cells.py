"""A pyramid as one grid: all values that lie over a cell of the coarsest stride form one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec

SIDE_CHANNELS = 3  # of `what_both_know`
_SIDE_STEPS = 64  # numbers in it are multiples of 1/64, and therefore exact on every machine


class CellLayout:
    """Where the values of some levels stand in a cell's vector: level by level, each channel row by row."""

    def __init__(self, spec: PyramidSpec, names: Sequence[str] | None = None) -> None:
        """`names`: the levels that take part (default: all)."""
        self.levels = tuple(level for level in spec.levels if names is None or level.name in names)
        self.stride = spec.coarsest_stride
        self._ratios = {level.name: self.stride // level.stride for level in self.levels}
        self._widths = {level.name: level.channels * self._ratios[level.name] ** 2 for level in self.levels}

    @property
    def values(self) -> int:
        """Length of a cell's vector."""
        return sum(self._widths.values())

    def parts(self) -> dict[str, tuple[slice, int]]:
        """Level → its place in the vector, and the values that each of its channels has there."""
        found, start = {}, 0
        for name, width in self._widths.items():
            found[name] = slice(start, start + width), self._ratios[name] ** 2
            start += width
        return found

    def grid(self, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """(rows, columns) of cells that hold levels of these sizes."""
        ratios = self._ratios.items()
        return max(-(-sizes[name][0] // r) for name, r in ratios), max(-(-sizes[name][1] // r) for name, r in ratios)

    def packed(self, pyramid: Pyramid, grid: tuple[int, int]) -> Tensor:
        """(batch, values, rows, columns); edge values are repeated where a level does not fill the grid."""
        parts = []
        for name, ratio in self._ratios.items():
            level = pyramid[name]
            below, right = grid[0] * ratio - level.shape[-2], grid[1] * ratio - level.shape[-1]
            padded = F.pad(level, (0, right, 0, below), mode="replicate") if below or right else level
            parts.append(F.pixel_unshuffle(padded, ratio))
        return torch.cat(parts, dim=1)

    def unpacked(self, cells: Tensor, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        """The inverse of `packed`."""
        parts = torch.split(cells, list(self._widths.values()), dim=1)
        levels = {
            name: F.pixel_shuffle(part, ratio) for (name, ratio), part in zip(self._ratios.items(), parts, strict=True)
        }
        return Pyramid(levels).cropped(sizes)


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
