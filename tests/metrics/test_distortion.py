import math

import pytest
import torch

from fpnkit.errors import PyramidError
from fpnkit.metrics.distortion import distortion, level_weights, snr_db, standardized_mse
from fpnkit.metrics.rate import bpp
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p2", 4, 4), LevelSpec("p3", 4, 8)))


def test_decoding_the_mean_is_0_db_and_a_tenth_of_the_error_10_db() -> None:
    torch.manual_seed(0)
    level = 3 * torch.randn(1, 4, 200, 200) + 2
    original = Pyramid({"p2": level})
    deviation = level.std(correction=0).reshape(1)
    mean = standardized_mse(original, Pyramid({"p2": torch.full_like(level, level.mean())}), deviation)["p2"]
    assert snr_db(mean.item()) == pytest.approx(0, abs=1e-4)
    assert snr_db(mean.item() / 10) == pytest.approx(10, abs=1e-4)


def test_a_perfect_level_has_infinite_snr() -> None:
    assert snr_db(0.0) == math.inf


def test_distortion_is_the_weighted_sum_times_the_scale() -> None:
    mse = {"p2": torch.tensor(0.5), "p3": torch.tensor(0.25)}
    assert distortion(mse, {"p2": 1.0, "p3": 2.0}, 100.0).item() == 100.0


def test_levels_weigh_the_same_unless_told_otherwise() -> None:
    assert level_weights(None, SPEC) == {"p2": 0.5, "p3": 0.5}
    assert level_weights({"p3": 0.9, "p2": 0.0}, SPEC) == {"p2": 0.0, "p3": 0.9}


def test_weights_for_levels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(PyramidError) as error:
        level_weights({"p2": 1.0, "p6": 1.0}, SPEC)
    assert str(error.value) == "loss.weights: required the levels p2, p3; found p2, p6"


def test_bpp_of_a_set_is_total_bits_over_total_pixels_not_a_mean_of_images() -> None:
    small, large = (800.0, 100.0), (1000.0, 10_000.0)
    assert bpp(small[0] + large[0], small[1] + large[1]) == pytest.approx(1800 / 10_100)
    assert bpp(small[0] + large[0], small[1] + large[1]) != pytest.approx((8 + 0.1) / 2)
