import numpy as np
import pytest
import torch

from fpnkit.analysis.statistics.moments import FeatureStatistics
from fpnkit.errors import DataError, PyramidError
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from tests.support.pyramids import SPEC, noise


def statistics_of(*pyramids: Pyramid, spec: PyramidSpec = SPEC) -> FeatureStatistics:
    statistics = FeatureStatistics(spec)
    for pyramid in pyramids:
        statistics.update(pyramid)
    return statistics


def one_level(*channels: torch.Tensor) -> tuple[Pyramid, PyramidSpec]:
    spec = PyramidSpec((LevelSpec("p3", len(channels), 8),))
    return Pyramid({"p3": torch.stack(channels)[None]}), spec


def test_a_unit_gaussian_has_no_mean_unit_deviation_no_excess_kurtosis_and_equal_shares() -> None:
    channels = statistics_of(*(noise(seed, side=64) for seed in range(8))).channels()
    level = channels[channels["level"] == "p3"]
    assert level["mean"].to_numpy() == pytest.approx(np.zeros(6), abs=0.03)
    assert level["deviation"].to_numpy() == pytest.approx(np.ones(6), abs=0.02)
    assert level["excess_kurtosis"].to_numpy() == pytest.approx(np.zeros(6), abs=0.15)
    assert level["sparsity"].to_numpy() == pytest.approx(np.full(6, 1 - (2 / np.pi) ** 0.5), abs=0.01)
    assert level["energy_share"].to_numpy() == pytest.approx(np.full(6, 1 / 6), abs=0.01)
    assert channels["level"].tolist() == ["p3"] * 6 + ["p4"] * 5


def test_moments_are_those_of_numpy_whatever_the_offset_and_however_images_are_split() -> None:
    first, second = noise(1), noise(2)
    shifted = [Pyramid({name: level**3 + 1e4 for name, level in pyramid.items()}) for pyramid in (first, second)]
    level = statistics_of(*shifted).channels().query("level == 'p4'")
    values = torch.cat([pyramid["p4"][0].flatten(1) for pyramid in shifted], dim=1).double().numpy()
    centerd = values - values.mean(1, keepdims=True)
    assert level["mean"].to_numpy() == pytest.approx(values.mean(1))
    assert level["deviation"].to_numpy() == pytest.approx(values.std(1))
    assert level["excess_kurtosis"].to_numpy() == pytest.approx((centerd**4).mean(1) / values.var(1) ** 2 - 3, rel=1e-6)
    assert level[["minimum", "maximum"]].to_numpy() == pytest.approx(np.stack([values.min(1), values.max(1)], axis=1))


def test_a_constant_channel_has_no_kurtosis_and_no_correlation() -> None:
    pyramid, spec = one_level(torch.full((8, 8), 0.3), torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))
    statistics = statistics_of(pyramid, pyramid, spec=spec)
    constant = statistics.channels().query("channel == 0").iloc[0]
    assert constant["deviation"] == 0
    assert np.isnan(constant["excess_kurtosis"])
    correlations = statistics.correlations()
    with_constant = correlations[(correlations["channel"] == 0) | (correlations["other"] == 0)]
    assert with_constant["correlation"].isna().all()
    assert correlations["correlation"].notna().sum() == 1
    assert statistics.levels()["constant_channels"].tolist() == [1]


def test_one_spike_is_as_sparse_as_can_be_and_equal_values_are_not_sparse() -> None:
    spike = torch.zeros(8, 8)
    spike[2, 3] = 5
    pyramid, spec = one_level(spike, torch.ones(8, 8))
    assert statistics_of(pyramid, spec=spec).channels()["sparsity"].tolist() == pytest.approx([1, 0])


def test_channels_that_are_multiples_of_one_have_one_component_and_correlations_of_one() -> None:
    base = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    pyramid, spec = one_level(base, -2 * base, 3 * base + 7)
    statistics = statistics_of(pyramid, spec=spec)
    assert statistics.eigenvalues()["share"].tolist() == pytest.approx([1, 0, 0], abs=1e-9)
    assert statistics.levels()["effective_components"].tolist() == pytest.approx([1])
    assert statistics.levels()["components_of_95_percent"].tolist() == [1]
    signs = {0: 1, 1: -1, 2: 1}
    for row in statistics.correlations().itertuples():
        assert row.correlation == pytest.approx(signs[row.channel] * signs[row.other])
    assert statistics.correlations()["channel"].iloc[0] == 2  # the strongest first


def test_white_noise_needs_all_components() -> None:
    statistics = statistics_of(*(noise(seed, side=64) for seed in range(4)))
    assert statistics.levels()["effective_components"].tolist() == pytest.approx([6, 5], rel=0.01)
    assert statistics.eigenvalues().groupby("level")["cumulative"].max().tolist() == pytest.approx([1, 1])


def test_correlations_keep_the_strongest_channels_only() -> None:
    table = statistics_of(noise(0)).correlations(most=3)
    assert table.groupby("level").size().to_dict() == {"p3": 9, "p4": 9}


def test_the_state_does_not_grow_with_the_images() -> None:
    def size(count: int) -> int:
        statistics = statistics_of(*(noise(seed, side=16) for seed in range(count)))
        sums = statistics._sums.values()
        return sum(array.nbytes for each in sums for array in vars(each).values() if isinstance(array, np.ndarray))

    assert size(1) == size(5) > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    pyramid = noise(0)
    pyramid["p4"][0, 1, 2, 3] = value
    with pytest.raises(DataError) as error:
        statistics_of(pyramid)
    count = pyramid["p4"].numel()
    assert str(error.value) == f"level p4: required finite features, found 1 of {count} values NaN or infinite"


def test_a_level_without_channels_is_refused() -> None:
    with pytest.raises(PyramidError) as error:
        FeatureStatistics(PyramidSpec((LevelSpec("p3", 4, 8), LevelSpec("p4", 0, 16))))
    assert str(error.value) == "level p4: required at least 1 channel, found none"
