"""Pyramids as grids of cells."""

import pytest
import torch

from fpnkit.codecs.cells import CellLayout, what_both_know
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from tests.support import fused


@pytest.mark.parametrize("size", [(96, 128), (100, 131), (32, 32), (1, 1), (33, 200)])
def test_packing_has_an_inverse_at_any_size(size: tuple[int, int]) -> None:
    layout, levels = CellLayout(fused.SPEC), fused.pyramid(0, *size)
    grid = layout.grid(levels.sizes)
    cells = layout.packed(levels, grid)
    assert cells.shape == (1, layout.values, *grid)
    assert layout.values == 6 * 16 + 8 * 4 + 8 + 5
    found = layout.unpacked(cells, levels.sizes)
    assert all(torch.equal(found[name], levels[name]) for name in fused.SPEC.names)


def test_a_cell_holds_what_lies_over_it() -> None:
    spec = PyramidSpec((LevelSpec("p4", 1, 16), LevelSpec("p5", 2, 32)))
    levels = Pyramid({"p4": torch.arange(24.0).reshape(1, 1, 4, 6), "p5": 100 + torch.arange(12.0).reshape(1, 2, 2, 3)})
    cells = CellLayout(spec).packed(levels, (2, 3))
    assert cells[0, :, 1, 2].tolist() == [16, 17, 22, 23, 105, 111]


def test_levels_that_do_not_fit_each_other_share_the_larger_grid() -> None:
    levels = {**fused.pyramid(0, 64, 64), "p5b": torch.randn(1, 5, 3, 2)}
    layout = CellLayout(fused.SPEC)
    grid = layout.grid(Pyramid(levels).sizes)
    assert grid == (3, 2)
    found = layout.unpacked(layout.packed(Pyramid(levels), grid), Pyramid(levels).sizes)
    assert all(torch.equal(found[name], levels[name]) for name in levels)


def test_both_sides_know_picture_and_place() -> None:
    geometry = ImageGeometry((100, 100), (40, 64), (64, 96), (8, 16))
    known = what_both_know([geometry, ImageGeometry((1, 1), (64, 96), (64, 96))], 2, (2, 3), 32)
    rows = [24 * 16 / 1024, 24 * 32 / 1024, 24 * 16 / 1024], [16 * 16 / 1024, 16 * 32 / 1024, 16 * 16 / 1024]
    assert tuple(known[0, 0].tolist()) == rows
    assert known[1, 0].tolist() == [[1.0] * 3] * 2
    assert known[0, 1, :, 0].tolist() == [-0.5, 0.5]
    assert known[0, 2, 0].tolist() == [-43 / 64, 0, 42 / 64]  # two thirds, rounded down to 1/64
