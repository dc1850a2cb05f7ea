import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from fpnkit.analysis.statistics.relations import LevelRelations
from fpnkit.pyramid import Pyramid
from tests.support.pyramids import SPEC, noise


def relations(*pyramids: Pyramid) -> pd.DataFrame:
    result = LevelRelations(SPEC)
    for pyramid in pyramids:
        result.update(pyramid)
    return result.table().set_index(["source", "target"])


def of_one_source(seed: int) -> Pyramid:
    """p4 is a linear function of what p3 is after averaging; p3 has two channels of information in six."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(1, 2, 32, 32, generator=generator)
    mix = torch.randn(6, 2, generator=torch.Generator().manual_seed(99))
    other = torch.randn(5, 6, generator=torch.Generator().manual_seed(98))
    p3 = torch.einsum("oc,bchw->bohw", mix, base)
    return Pyramid({"p3": p3, "p4": torch.einsum("oc,bchw->bohw", other, F.avg_pool2d(p3, 2)) + 3})


def test_levels_of_one_source_are_predicted_from_each_other() -> None:
    table = relations(*(of_one_source(seed) for seed in range(4)))
    assert table.loc[("p3", "p4"), "predictable_share"] == pytest.approx(1, abs=0.01)
    assert table.loc[("p4", "p3"), "predictable_share"] == pytest.approx(1, abs=0.01)
    assert table.loc[("p3", "p3")].tolist() == [1, 1]


def test_independent_levels_know_nothing_of_each_other() -> None:
    table = relations(*(noise(seed) for seed in range(6)))
    for pair in (("p3", "p4"), ("p4", "p3")):
        assert abs(table.loc[pair, "energy_correlation"]) < 0.1
        assert table.loc[pair, "predictable_share"] < 0.01


def test_levels_that_are_loud_in_the_same_places_correlate_without_being_predictable() -> None:
    pyramids = []
    for seed in range(4):
        loud = torch.ones(1, 1, 16, 16)
        loud[..., :8, :] = 10
        pyramid = noise(seed)
        pyramids.append(
            Pyramid({"p3": pyramid["p3"] * F.interpolate(loud, scale_factor=2), "p4": pyramid["p4"] * loud})
        )
    row = relations(*pyramids).loc[("p3", "p4")]
    # Mean squares over 24 and 5 values of variance 1 and 100: 2450 common, 417 and 2000 by chance in the loud half.
    assert row["energy_correlation"] == pytest.approx(2450 / (2867 * 4450) ** 0.5, abs=0.07)
    assert row["predictable_share"] < 0.05


def test_one_image_is_too_few_to_measure_a_prediction() -> None:
    table = relations(noise(0))
    assert np.isnan(table.loc[("p3", "p4"), "predictable_share"])
    assert np.isfinite(table.loc[("p3", "p4"), "energy_correlation"])
