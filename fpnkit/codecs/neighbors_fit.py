"""Weights and tables of a `NeighborModel` from examples, by least squares and counting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fpnkit.codecs.histograms import CLASSES, COUNTED
from fpnkit.codecs.neighbors import LEAST_SHARE, PASSES, Inputs, NeighborModel, cells_of, weights_on_grid

_SWEEPS = 2  # the first has no tables yet, and rounds as if all symbols cost the same
_FIRST_IMAGES = 64
_DEAD_ZONE = 0.2  # of a step, of that rounding
_RIDGE = 1e-2  # of the mean of the diagonal: few images have less to say than the weights could learn by heart
_MAGNITUDE_RIDGE = 1e-4
_REWEIGHTED = 2  # times: cells with large magnitudes are also more uncertain
_LEAST_EXPECTED = 1e-5


def fit(model: NeighborModel, components: Tensor, steps: Sequence[float], side: Tensor, live: Tensor) -> None:
    """`components` (image, component, rows, columns) of examples; `steps` of each rate."""
    counts = torch.zeros(CLASSES, COUNTED + 1, dtype=torch.float64)
    model.histograms.make(counts)
    for sweep in range(_SWEEPS):
        counts = torch.zeros_like(counts)
        count = min(len(components), _FIRST_IMAGES) if sweep == 0 else len(components)
        for rate, step in enumerate(steps):
            _Sweep(model, components[:count] / step, rate, sweep, counts).walk(side[:count], live[:count])
        model.histograms.make(counts)


class _Sweep:
    """One way through the examples at one rate; adds to the counts."""

    def __init__(self, model: NeighborModel, components: Tensor, rate: int, sweep: int, counts: Tensor) -> None:
        self._model, self._components, self._rate, self._first = model, components, rate, sweep == 0
        self._counts = counts
        self._factors: dict[int, Tensor] = {}

    def walk(self, side: Tensor, live: Tensor) -> None:
        """Set the weights of this rate on the way."""
        self._model.walk(side, live, self._visit)

    def _visit(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        model, rate = self._model, self._rate
        wanted = cells_of(self._components[:, inputs.part], inputs.mask)
        model.get_buffer(f"mean_{inputs.number}")[rate] = weights_on_grid(self._mean_weights(inputs, wanted))
        mean, index = model.expected(inputs, rate)
        distance = wanted - mean
        rough = _rounded(distance) if self._first else model.chosen(distance, index)
        self._set_magnitudes(inputs, rough.abs().to(wanted.dtype))
        mean, index = model.expected(inputs, rate)
        symbols = model.chosen(distance, index)
        self._count(symbols, index)
        return symbols, model.decoded(mean, symbols)

    def _mean_weights(self, inputs: Inputs, wanted: Tensor) -> Tensor:
        """Slices behind all that means are predicted from have the same inputs."""
        place, shared = inputs.number % PASSES, inputs.part.start >= self._model.heard
        factor = self._factors.get(place) if shared else None
        if factor is None:
            gram = (inputs.mean.T @ inputs.mean).double()
            ridge = torch.full_like(gram[0], _RIDGE * gram.diagonal().mean().item() + 1e-3)
            ridge[: self._model.side] *= 1e-3
            factor = torch.linalg.cholesky(gram + ridge.diag())
            if shared:
                self._factors[place] = factor
        weights: Tensor = torch.cholesky_solve((inputs.mean.T @ wanted).double(), factor)
        return weights

    def _set_magnitudes(self, inputs: Inputs, magnitude: Tensor) -> None:
        model, number, rate = self._model, inputs.number, self._rate
        weights = model.get_buffer(f"magnitude_{number}")
        each = magnitude.new_ones(len(magnitude), 1)
        for _ in range(_REWEIGHTED):
            found = _component_weights(inputs, magnitude, each)
            weights[rate] = weights_on_grid(found)
            expected = inputs.magnitude @ found[: inputs.magnitude.shape[1]]
            if inputs.own is not None:
                expected = expected + inputs.own * found[-1]
            each = 1 / expected.mean(1, keepdim=True).clamp(min=0.01)
        least = LEAST_SHARE * magnitude.mean(0) if len(magnitude) else magnitude.new_zeros(magnitude.shape[1])
        model.get_buffer(f"least_{number}")[rate] = least.clamp(min=_LEAST_EXPECTED)

    def _count(self, symbols: Tensor, index: Tensor) -> None:
        place = (index * (COUNTED + 1) + symbols.abs().clamp(max=COUNTED)).flatten().cpu()
        self._counts += torch.bincount(place, minlength=self._counts.numel()).reshape(self._counts.shape)


def _component_weights(inputs: Inputs, magnitude: Tensor, each: Tensor) -> Tensor:
    """(inputs, component): least squares over cells that weigh `each`; one input may be the component's own."""
    common, own = inputs.magnitude, inputs.own
    weighted = (common * each).T
    gram, product = (weighted @ common).double(), (weighted @ magnitude).double()
    if own is None:
        found: Tensor = torch.linalg.solve(gram + _ridge(gram, each), product)
        return found.float()
    beside, square = (weighted @ own).double(), (own.square() * each).sum(0).double()
    count = magnitude.shape[1]
    full = torch.cat(
        [
            torch.cat([gram.expand(count, -1, -1), beside.T[:, :, None]], 2),
            torch.cat([beside.T[:, None], square[:, None, None]], 2),
        ],
        1,
    )
    right = torch.cat([product, (own * magnitude * each).sum(0, keepdim=True).double()]).T[:, :, None]
    solved: Tensor = torch.linalg.solve(full + _ridge(full, each), right)
    return solved[:, :, 0].T.float()


def _ridge(gram: Tensor, each: Tensor) -> Tensor:
    amount = _MAGNITUDE_RIDGE * each.sum().double() + 1e-9
    return amount * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)


def _rounded(distance: Tensor) -> Tensor:
    return (distance.sign() * (distance.abs() + 0.5 - _DEAD_ZONE).floor().clamp(min=0)).long()
