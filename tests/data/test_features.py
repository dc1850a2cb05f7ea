import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.data.windows import Features, Window, as_float16, as_float32, crop, random_window
from fpnkit.errors import FpnkitError, PyramidError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from tests.support.feature_files import SPEC, features

sides = st.integers(1, 400)


@given(sides, sides, st.integers(1, 8).map(lambda n: 32 * n), st.integers(0, 2**32))
def test_random_windows_are_aligned_lie_inside_and_can_be_cut(height, width, size, seed):
    whole = features(0, (height, width))
    window = random_window(whole.geometry, size, SPEC, np.random.default_rng(seed))
    part = crop(whole, window, SPEC)
    assert (window.height, window.width) == (min(size, height), min(size, width))
    for level in SPEC.levels:
        rows, columns = part.pyramid.sizes[level.name]
        assert (rows, columns) == (-(-window.height // level.stride), -(-window.width // level.stride))


def test_random_windows_reach_every_aligned_place():
    rng = np.random.default_rng(0)
    geometry = ImageGeometry((96, 160), (96, 160), (96, 160))
    places = {(window.top, window.left) for window in (random_window(geometry, 64, SPEC, rng) for _ in range(200))}
    assert places == {(top, left) for top in (0, 32) for left in (0, 32, 64, 96)}


@pytest.mark.parametrize(
    "window",
    [Window(16, 0, 32, 32), Window(0, 0, 40, 32), Window(0, 0, 128, 32), Window(0, -32, 32, 32), Window(0, 0, 0, 32)],
)
def test_windows_that_cannot_be_cut_are_refused(window):
    with pytest.raises(PyramidError) as error:
        crop(features(0), window, SPEC)
    assert str(error.value) == (
        "window: required within 96 x 160 pixels, starting at multiples of 32 and of such a size unless it ends with "
        f"them; found {window}"
    )


def test_original_pixels_of_windows_add_up_to_the_image_and_padding_counts_nothing():
    geometry = ImageGeometry((150, 400), (75, 200), (96, 224), (8, 10))
    windows = [Window(top, left, 32, 32) for top in range(0, 96, 32) for left in range(0, 224, 32)]
    parts = [Features(Pyramid({}), geometry, window).original_pixels for window in windows]
    assert sum(parts) == pytest.approx(150 * 400)
    assert Features(Pyramid({}), geometry).original_pixels == pytest.approx(150 * 400)


def test_rounding_stays_within_half_a_unit_of_float16():
    whole = features(3)
    for name, level in as_float32(as_float16(whole, "x")).pyramid.items():
        exact = whole.pyramid[name]
        assert level.dtype == torch.float32
        assert bool(((level - exact).abs() <= exact.abs() * 2**-11 + 2**-25).all())


@pytest.mark.parametrize(
    ("value", "text"), [(70000.0, "70000"), (-1e9, "-1e+09"), (float("nan"), "nan"), (float("inf"), "inf")]
)
def test_values_that_float16_cannot_hold_are_named(value, text):
    whole = features(0)
    whole.pyramid["p3"][0, 5, 2, 1] = value
    with pytest.raises(FpnkitError) as error:
        as_float16(whole, "image 4")
    assert str(error.value) == f"features of image 4: level p3 holds {text}; required finite values of at most 65504"
