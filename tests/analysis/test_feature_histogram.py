import numpy as np
import pytest
import torch

from fpnkit.analysis.statistics.histogram import LevelHistograms
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p3", 4, 8),))


def histograms(values: torch.Tensor, mean: float = 0.0, deviation: float = 1.0) -> LevelHistograms:
    result = LevelHistograms(SPEC, torch.tensor([mean]), torch.tensor([deviation]))
    for image in values.reshape(4, 4, 100, 100):
        result.update(Pyramid({"p3": image[None]}))
    return result


def test_a_gaussian_is_fitted_by_itself_and_a_laplacian_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn(160_000, generator=generator)
    uniform = torch.rand(160_000, generator=generator, dtype=torch.float64) - 0.5
    laplacian = (-uniform.sign() * (1 - 2 * uniform.abs()).clamp(min=1e-12).log()).float()  # scale 1
    fit = histograms(3 * gaussian + 5, mean=5, deviation=3).fits().iloc[0]
    assert (fit["mean"], fit["deviation"]) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.01))
    assert fit["bits_from_gaussian"] == pytest.approx(0, abs=0.005)
    # Kullback and Leibler's divergence of a unit Gaussian from the best Laplacian, whose scale is √(2/π).
    gap = np.log2(2 * np.sqrt(2 / np.pi)) + 1 / np.log(2) - 0.5 * np.log2(2 * np.pi * np.e)
    assert fit["bits_from_laplacian"] == pytest.approx(gap, abs=0.005)
    other = histograms(laplacian).fits().iloc[0]
    assert other["scale"] == pytest.approx(1, abs=0.02)
    assert other["bits_from_laplacian"] == pytest.approx(0, abs=0.005)
    assert other["bits_from_gaussian"] > 0.05


def test_densities_integrate_to_one_and_values_far_out_are_counted_as_outside() -> None:
    values = torch.randn(160_000, generator=torch.Generator().manual_seed(0))
    values[:1600] = 1000.0
    result = histograms(values)
    assert result.fits()["outside_share"].tolist() == [pytest.approx(0.01)]
    assert result.table()["density"].sum() * 0.1 == pytest.approx(0.99)
    assert result.table()["gaussian"].sum() * 0.1 == pytest.approx(1, abs=1e-3)


def test_a_constant_level_is_one_bin() -> None:
    table = histograms(torch.full((160_000,), 2.0), mean=2.0, deviation=0.0).table()
    assert table["value"].tolist() == [0.0]
    assert table["density"].tolist() == [pytest.approx(10.0)]
