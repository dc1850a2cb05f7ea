"""Pyramids as grids of cells."""

import pytest
import torch

from fpnkit.codecs.cells import CellLayout, what_both_know
from fpnkit.errors import PyramidError
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


@pytest.mark.parametrize("stride", [8, 16, 64])
@pytest.mark.parametrize("size", [(96, 128), (100, 131), (32, 32), (1, 1), (33, 200)])
def test_cells_of_another_stride_have_an_inverse_too(size: tuple[int, int], stride: int) -> None:
    layout, levels = CellLayout(fused.SPEC, stride=stride), fused.pyramid(0, *size)
    grid = layout.grid(levels.sizes)
    assert grid == (-(-size[0] // stride), -(-size[1] // stride)) or stride < 32  # a coarse value needs one cell only
    found = layout.unpacked(layout.packed(levels, grid), levels.sizes)
    assert found.sizes == levels.sizes
    assert all(torch.allclose(found[name], levels[name], rtol=0, atol=1e-6) for name in fused.SPEC.names)


def test_cells_repeat_a_coarser_level_and_give_back_the_mean_of_theirs() -> None:
    spec = PyramidSpec((LevelSpec("p4", 1, 16), LevelSpec("p5", 1, 32)))
    layout = CellLayout(spec, stride=16)
    levels = Pyramid({"p4": torch.zeros(1, 1, 3, 3), "p5": torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])})
    cells = layout.packed(levels, layout.grid(levels.sizes))
    assert cells[0, 1].tolist() == [[1, 1, 2], [1, 1, 2], [3, 3, 4]]
    cells[0, 1] += torch.tensor([[0.0, 1, 5], [0, 3, 1], [2, 0, 9]])
    assert layout.unpacked(cells, levels.sizes)["p5"].tolist() == [[[[2, 5], [4, 13]]]]


def test_a_stride_that_no_level_can_be_divided_by_is_refused() -> None:
    with pytest.raises(PyramidError) as error:
        CellLayout(fused.SPEC, stride=12)
    assert str(error.value) == "codec.stride: required a multiple or a part of stride 8 of p3, found 12"


def test_cells_are_no_larger_than_32_pixels_unless_the_finest_level_or_the_user_says_so() -> None:
    levels = tuple(LevelSpec(f"p{number}", 256, 2**number) for number in range(2, 8))
    assert CellLayout(PyramidSpec(levels)).stride == 32
    assert CellLayout(PyramidSpec(levels), stride=64).stride == 64
    assert CellLayout(PyramidSpec(levels[4:])).stride == 64
    assert CellLayout(PyramidSpec(levels[:2])).stride == 8


def test_both_sides_know_picture_and_place() -> None:
    geometry = ImageGeometry((100, 100), (40, 64), (64, 96), (8, 16))
    known = what_both_know([geometry, ImageGeometry((1, 1), (64, 96), (64, 96))], 2, (2, 3), 32)
    rows = [24 * 16 / 1024, 24 * 32 / 1024, 24 * 16 / 1024], [16 * 16 / 1024, 16 * 32 / 1024, 16 * 16 / 1024]
    assert tuple(known[0, 0].tolist()) == rows
    assert known[1, 0].tolist() == [[1.0] * 3] * 2
    assert known[0, 1, :, 0].tolist() == [-0.5, 0.5]
    assert known[0, 2, 0].tolist() == [-43 / 64, 0, 42 / 64]  # two thirds, rounded down to 1/64
