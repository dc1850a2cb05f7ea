import numpy as np
import pytest
import torch

from fpnkit.analysis.statistics.loss import ErrorStatistics
from fpnkit.errors import DataError
from fpnkit.pyramid import Pyramid
from tests.support.pyramids import noise


def statistics(scale: float, images: int = 3, offset: float = 0.0) -> ErrorStatistics:
    """Of noise of variance 1 whose decoded values carry an error of `scale` each."""
    result = ErrorStatistics()
    for seed in range(images):
        original = Pyramid({name: level + offset for name, level in noise(seed, side=64).items()})
        decoded = Pyramid(
            {
                name: level + scale * torch.randn(level.shape, generator=torch.Generator().manual_seed(seed + 50))
                for name, level in original.items()
            }
        )
        result.update(original, decoded)
    return result


def test_an_error_of_a_tenth_is_20_db() -> None:
    found = statistics(0.1, offset=1000.0)
    assert found.channels()["snr_db"].to_numpy() == pytest.approx(np.full(11, 20.0), abs=0.7)  # few cells
    levels = found.levels({"p3": 1.0, "p4": 10.0})
    assert levels["snr_db"].tolist() == pytest.approx([20.0, 30.0], abs=0.2)
    assert levels["mse"].tolist() == pytest.approx([0.01, 0.01], rel=0.05)


def test_decoding_the_mean_of_each_channel_is_0_db_for_channels() -> None:
    original = noise(0)
    shifted = Pyramid({name: level + torch.arange(level.shape[1])[:, None, None] for name, level in original.items()})
    means = Pyramid({name: level.mean((2, 3), keepdim=True).expand_as(level) for name, level in shifted.items()})
    result = ErrorStatistics()
    result.update(shifted, means)
    assert result.channels()["snr_db"].to_numpy() == pytest.approx(np.zeros(11), abs=1e-4)


def test_a_perfect_copy_is_infinite_and_a_constant_channel_has_no_snr() -> None:
    result = ErrorStatistics()
    level = torch.stack([torch.zeros(4, 4), torch.arange(16.0).reshape(4, 4)])[None]
    result.update(Pyramid({"p3": level}), Pyramid({"p3": level}))
    snr = result.channels()["snr_db"].tolist()
    assert np.isnan(snr[0])
    assert snr[1] == np.inf


def test_decoded_features_that_are_not_finite_are_refused() -> None:
    decoded = noise(0)
    decoded["p3"][0, 0, 0, 0] = float("nan")
    with pytest.raises(DataError) as error:
        ErrorStatistics().update(noise(0), decoded)
    assert str(error.value) == "level p3, decoded: required finite features, found 1 of 6144 values NaN or infinite"
