import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.errors import PyramidError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

sides = st.integers(1, 40)


def test_names_and_strides_come_from_shapes_and_a_second_level_of_a_stride_gets_a_letter() -> None:
    spec = PyramidSpec.from_shapes(
        (320, 416), [(256, 40, 52), (256, 20, 26), (256, 10, 13), (256, 10, 13), (256, 5, 7)]
    )
    assert spec.names == ("p3", "p4", "p5", "p5b", "p6")
    assert [level.stride for level in spec.levels] == [8, 16, 32, 32, 64]
    assert spec["p5b"] == LevelSpec("p5b", 256, 32)
    assert spec.coarsest_stride == 64


def test_sizes_that_were_rounded_up_do_not_change_the_stride() -> None:
    assert PyramidSpec.from_shapes((800, 1088), [(8, 200, 272), (8, 13, 17)]).names == ("p2", "p6")


@given(
    heights=st.lists(st.tuples(sides, sides), min_size=1, max_size=4),
    multiple=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_cropping_undoes_padding_exactly(heights: list[tuple[int, int]], multiple: int) -> None:
    pyramid = Pyramid({f"p{i}": torch.randn(2, 3, *size) for i, size in enumerate(heights)})
    padded = pyramid.padded(dict.fromkeys(pyramid, multiple))
    assert all(side % multiple == 0 for size in padded.sizes.values() for side in size)
    assert all(padded.sizes[name][i] - pyramid.sizes[name][i] < multiple for name in pyramid for i in (0, 1))
    back = padded.cropped(pyramid.sizes)
    assert all(torch.equal(back[name], pyramid[name]) for name in pyramid)


def test_padding_repeats_the_edge_even_for_a_level_of_one_cell() -> None:
    pyramid = Pyramid({"p6": torch.full((1, 1, 1, 1), 7.0)})
    assert pyramid.padded({"p6": 8})["p6"].unique().tolist() == [7.0]


def test_a_pyramid_of_other_channels_is_refused_with_both_sides_named() -> None:
    spec = PyramidSpec((LevelSpec("p2", 4, 4), LevelSpec("p3", 4, 8)))
    spec.check(Pyramid({"p2": torch.zeros(1, 4, 8, 8), "p3": torch.zeros(1, 4, 4, 4)}))
    with pytest.raises(PyramidError) as error:
        spec.check(Pyramid({"p2": torch.zeros(1, 5, 8, 8)}))
    assert str(error.value) == (
        "pyramid: required p2 4 channels at stride 4, p3 4 channels at stride 8; found p2 5 channels"
    )


def test_the_whole_canvas_covers_exactly_the_original_image() -> None:
    geometry = ImageGeometry(original=(480, 640), content=(240, 320), canvas=(320, 320), offset=(40, 0))
    assert geometry.original_pixels() == 480 * 640


def test_padding_of_the_canvas_covers_no_pixel_of_the_original() -> None:
    geometry = ImageGeometry(original=(480, 640), content=(240, 320), canvas=(320, 320), offset=(40, 0))
    assert geometry.original_pixels(0, 0, 40, 320) == 0
    assert geometry.original_pixels(280, 0, 40, 320) == 0


@given(rows=st.integers(1, 319), columns=st.integers(1, 319))
def test_windows_that_tile_the_canvas_cover_the_image_once(rows: int, columns: int) -> None:
    geometry = ImageGeometry(original=(481, 637), content=(241, 319), canvas=(320, 320), offset=(39, 0))
    parts = [
        geometry.original_pixels(top, left, height, width)
        for top, height in ((0, rows), (rows, 320 - rows))
        for left, width in ((0, columns), (columns, 320 - columns))
    ]
    assert sum(parts) == pytest.approx(481 * 637)
