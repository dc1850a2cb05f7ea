"""The Karhunen-Loève transform under the metric of a distortion.

A plain KLT finds the directions in which features vary most. Here the directions are those in which errors cost most:
features are first weighted with the square root of the distortion's second derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fpnkit.codecs.cells import CellLayout

FLOOR = 0.15  # of the mean curvature, added everywhere: directions that the distortion ignores still count a little
_OVERSAMPLING = 32
_ITERATIONS = 4  # of the subspace iteration (Halko et al. 2011, arXiv:0909.4061)


@dataclass(frozen=True)
class Klt:
    """A linear map from a cell's values to components, the most costly first."""

    mean: Tensor  # (values,)
    analysis: Tensor  # (components, values)
    synthesis: Tensor  # (values, components)
    deviation: Tensor  # (components,); an error of 1 in a component costs a half


def fit_klt(cells: Tensor, layout: CellLayout, curvature: Mapping[str, Tensor], components: int) -> Klt:
    """`cells` (n, values): samples; `curvature`: level → (channel, channel), positive semidefinite."""
    components = min(components, layout.values, len(cells))
    roots = _roots(layout, curvature)
    mean = cells.mean(0)
    weighted = _weighted(cells - mean, layout, {name: root for name, (root, _) in roots.items()})
    rank = min(components + _OVERSAMPLING, *weighted.shape)
    _, singular, directions = torch.svd_lowrank(weighted, rank, niter=_ITERATIONS)
    basis = directions[:, :components].T.contiguous()  # (components, values)
    return Klt(
        mean,
        _weighted(basis, layout, {name: root for name, (root, _) in roots.items()}),
        _weighted(basis, layout, {name: inverse for name, (_, inverse) in roots.items()}).T.contiguous(),
        singular[:components] / len(cells) ** 0.5,
    )


def mean_curvature(layout: CellLayout, curvature: Mapping[str, Tensor]) -> float:
    """Of a value of a cell."""
    traces = (
        each.each * each.share * curvature[name].diagonal().sum().item() for name, each in layout.places().items()
    )
    return sum(traces) / layout.values


def _roots(layout: CellLayout, curvature: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Level → square root of its metric, and the inverse of it."""
    floor, roots = FLOOR * mean_curvature(layout, curvature), {}
    for name, place in layout.places().items():
        matrix = place.share * curvature[name].double()
        eigenvalues, vectors = torch.linalg.eigh(matrix + floor * torch.eye(len(matrix), dtype=torch.float64))
        scale = eigenvalues.clamp(min=floor).sqrt()
        roots[name] = ((vectors * scale) @ vectors.T).float(), ((vectors / scale) @ vectors.T).float()
    return roots


def _weighted(rows: Tensor, layout: CellLayout, matrices: Mapping[str, Tensor]) -> Tensor:
    """(n, values) with each level's symmetric matrix applied across its channels."""
    result = torch.empty_like(rows)
    for name, place in layout.places().items():
        part = rows[:, place.values].reshape(len(rows), -1, place.each)  # (n, channel, values of each)
        result[:, place.values] = torch.einsum("ncv,cd->ndv", part, matrices[name]).flatten(1)
    return result
