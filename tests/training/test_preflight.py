import math

import pytest
import torch

from fpnkit.codecs.calibration import Calibration, LevelStatistics
from fpnkit.distortions import MseDistortion
from fpnkit.training.preflight import forecast


def calibration(spectrum: list[float], cells_per_pixel: float = 1 / 16) -> Calibration:
    return Calibration({"p2": LevelStatistics(0.0, 1.0, torch.tensor(spectrum), cells_per_pixel)}, 1)


def test_the_ceiling_is_lambda_times_the_distortion_of_sending_nothing() -> None:
    result = forecast(2.5e-4, MseDistortion(65025.0, {"p2": 1.0}), calibration([1.0]))
    assert result.ceiling_bpp == pytest.approx(2.5e-4 * 65025)


def test_without_the_image_scale_the_same_lambda_is_reported_to_collapse() -> None:
    result = forecast(2.5e-4, MseDistortion(1.0, {"p2": 1.0}), calibration([1.0]))
    assert result.collapses
    assert result.warning(2.5e-4) == (
        "lambda 2.50e-04 is too small: below 0.005 bpp the codec learns to send nothing (0 dB SNR on every level); "
        "use a larger loss.lambda or loss.distortion_scale"
    )


def test_water_filling_agrees_with_a_search_for_the_cheapest_error() -> None:
    """The loss of one Gaussian channel, minimized by brute force over its error."""
    lmbda, scale, cells, variances = 0.01, 50.0, 1 / 16, [3.0, 1.0, 0.05]
    total = 0.0
    for variance in variances:
        errors = torch.linspace(1e-5, variance, 200_000, dtype=torch.float64)
        bits = cells * 0.5 * torch.log2(variance / errors)
        loss = lmbda * scale * errors / len(variances) + bits
        total += bits[loss.argmin()].item()
    result = forecast(lmbda, MseDistortion(scale, {"p2": 1.0}), calibration(variances, cells))
    assert result.gaussian_bpp == pytest.approx(total, rel=1e-3)


def test_correlated_channels_are_expected_to_need_less() -> None:
    distortion = MseDistortion(100.0, {"p2": 1.0})
    white = forecast(0.01, distortion, calibration([1.0, 1.0, 1.0, 1.0])).gaussian_bpp
    correlated = forecast(0.01, distortion, calibration([3.7, 0.1, 0.1, 0.1])).gaussian_bpp
    assert correlated < white


def test_a_larger_lambda_never_buys_less() -> None:
    rates = [
        forecast(10.0**e, MseDistortion(65025.0, {"p2": 1.0}), calibration([2.0, 0.5, 0.5])).gaussian_bpp
        for e in range(-8, 2)
    ]
    assert rates == sorted(rates)
    assert rates[0] == 0 < rates[-1] < math.inf
