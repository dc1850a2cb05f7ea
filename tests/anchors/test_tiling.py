import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.anchors.hevc import padded_side
from fpnkit.anchors.tiling import frame_size, tile, untile

shapes = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=5)


def numbered(shapes: list[tuple[int, int, int]]) -> list[np.ndarray]:
    """Levels in which no value comes twice, from 1 up."""
    levels, start = [], 1
    for shape in shapes:
        size = int(np.prod(shape))
        levels.append(np.arange(start, start + size, dtype=np.int32).reshape(shape))
        start += size
    return levels


@given(shapes)
def test_untiling_gives_back_what_was_tiled(shapes: list[tuple[int, int, int]]) -> None:
    levels = numbered(shapes)
    frame = tile(levels, fill=0)
    assert frame.shape == frame_size(shapes)
    back = untile(frame, shapes)
    assert len(back) == len(levels)
    assert all(np.array_equal(a, b) for a, b in zip(levels, back, strict=True))


@given(shapes)
def test_every_value_is_in_the_frame_once_and_the_rest_is_fill(shapes: list[tuple[int, int, int]]) -> None:
    levels = numbered(shapes)
    frame = tile(levels, fill=0)
    values = np.sort(frame[frame > 0])
    assert np.array_equal(values, np.arange(1, sum(level.size for level in levels) + 1))


@given(shapes)
def test_the_frame_has_sides_that_hevc_can_code(shapes: list[tuple[int, int, int]]) -> None:
    assert all(side >= 16 and side % 8 == 0 for side in frame_size(shapes))


def test_a_channel_stays_one_picture_and_little_is_wasted() -> None:
    levels = numbered([(96, 40, 40), (96, 20, 20), (96, 10, 10)])
    frame = tile(levels, fill=0)
    assert np.array_equal(frame[:40, :40], levels[0][0])
    assert np.array_equal(frame[:40, 40:80], levels[0][1])
    assert (frame == 0).mean() < 0.1


def test_a_side_is_padded_no_further_than_to_the_next_8() -> None:
    assert [padded_side(side) for side in (1, 16, 17, 24, 320, 321)] == [16, 16, 24, 24, 320, 328]
