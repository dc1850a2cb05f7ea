"""The KLT under a metric."""

import pytest
import torch

from fpnkit.codecs.cells import CellLayout
from fpnkit.codecs.klt import Klt, fit_klt
from fpnkit.pyramid import LevelSpec, PyramidSpec

LAYOUT = CellLayout(PyramidSpec((LevelSpec("p4", 3, 16), LevelSpec("p5", 4, 32))))


def cells() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, LAYOUT.values, generator=generator)
    return torch.randn(500, 6, generator=generator) @ mixing + 2 + 0.01 * torch.randn(500, 16, generator=generator)


def curvature(p4: float = 1.0, p5: float = 1.0) -> dict[str, torch.Tensor]:
    return {"p4": p4 * torch.eye(3), "p5": p5 * torch.eye(4)}


def kept(klt: Klt, count: int, values: torch.Tensor) -> torch.Tensor:
    return (values - klt.mean) @ klt.analysis[:count].T @ klt.synthesis[:, :count].T + klt.mean


def test_all_components_give_everything_back_and_six_nearly_everything() -> None:
    klt = fit_klt(cells(), LAYOUT, curvature(), 16)
    assert torch.allclose(kept(klt, 16, cells()), cells(), atol=1e-3)
    assert (kept(klt, 6, cells()) - cells()).std() < 0.02
    assert (kept(klt, 5, cells()) - cells()).std() > 0.1


def test_components_are_uncorrelated_and_come_in_order() -> None:
    klt = fit_klt(cells(), LAYOUT, curvature(3.0, 0.2), 10)
    components = (cells() - klt.mean) @ klt.analysis.T
    covariance = components.T @ components / len(components)
    assert torch.allclose(covariance.diagonal().sqrt(), klt.deviation, rtol=1e-3)
    assert torch.equal(klt.deviation, klt.deviation.sort(descending=True).values)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 1e-3 * covariance.max()


def test_an_error_of_one_in_a_component_costs_a_half() -> None:
    """By the metric with its floor, which is 0.15 of the mean curvature."""
    found = curvature(3.0, 0.2)
    klt = fit_klt(cells(), LAYOUT, found, 10)
    mean = (12 * 3.0 + 4 * 0.2) / 16
    weights = torch.cat([torch.full((12,), 3.0), torch.full((4,), 0.2)]) + 0.15 * mean
    for error in klt.synthesis.T:
        assert (weights * error.square()).sum().item() == pytest.approx(1, rel=1e-3)


def test_what_counts_more_is_kept_better() -> None:
    errors = {}
    for name, metric in (("p4", curvature(10.0, 0.1)), ("p5", curvature(0.1, 10.0))):
        klt = fit_klt(cells(), LAYOUT, metric, 16)
        errors[name] = (kept(klt, 3, cells()) - cells()).square().mean(0)
    fine, coarse = LAYOUT.places()["p4"].values, LAYOUT.places()["p5"].values
    assert errors["p4"][fine].mean() < 0.8 * errors["p5"][fine].mean()
    assert errors["p5"][coarse].mean() < 0.8 * errors["p4"][coarse].mean()


def test_a_level_that_cells_repeat_counts_once() -> None:
    """Four cells repeat a value of p5, so an error in each of them costs a quarter of one in the value."""
    layout = CellLayout(PyramidSpec((LevelSpec("p4", 3, 16), LevelSpec("p5", 4, 32))), stride=16)
    weights = torch.cat([torch.full((3,), 3.0), torch.full((4,), 0.2 / 4)])
    klt = fit_klt(cells()[:, : layout.values], layout, curvature(3.0, 0.2), 7)
    for error in klt.synthesis.T:
        assert ((weights + 0.15 * weights.mean()) * error.square()).sum().item() == pytest.approx(1, rel=1e-3)
