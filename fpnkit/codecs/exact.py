"""Networks whose results cannot differ between machines.

An entropy decoder must know the very distribution that the encoder used. In floating point a sum depends on its order,
so that batch size, threads, processor and library change the last digit, and one digit turns a whole stream to noise
(Ballé et al. 2019, "Integer networks for data compression with latent-variable models"). Here weights and activations
are multiples of powers of two, bounded so that float64 holds every product and partial sum exactly. Nothing is rounded
but where the code says so, and no order can matter. Training uses the same network in ordinary float32.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

WEIGHT_STEP, WEIGHT_BOUND = 2.0**-14, 8.0
VALUE_STEP, VALUE_BOUND = 2.0**-10, 512.0
_EXACT_BITS = 53  # of float64


def on_grid(values: Tensor, step: float = VALUE_STEP, bound: float = VALUE_BOUND) -> Tensor:
    """float64 multiples of `step` within ±`bound`."""
    return (values.double() / step).round().clamp(-bound / step, bound / step) * step


class ExactLinear(nn.Module):
    """A matrix for the channels of each cell."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        require_exact(inputs + 1)
        layer = nn.Linear(inputs, outputs)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, values: Tensor) -> Tensor:
        """(batch, inputs, rows, columns) → (batch, outputs, rows, columns)."""
        return F.conv2d(values, self.weight[:, :, None, None], self.bias)

    def exact(self, values: Tensor) -> Tensor:
        """The same on the grid, float64."""
        weight, bias = (on_grid(each, WEIGHT_STEP, WEIGHT_BOUND) for each in (self.weight, self.bias))
        product = (weight @ values.flatten(2)).reshape(len(values), -1, *values.shape[2:])
        return on_grid(product + bias[:, None, None])


class ExactNeighbors(nn.Module):
    """A depthwise 3x3 convolution, as a sum of nine shifted products."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layer = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        assert layer.bias is not None
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, values: Tensor) -> Tensor:
        """(batch, channels, rows, columns), the same shape."""
        return F.conv2d(values, self.weight, self.bias, padding=1, groups=values.shape[1])

    def exact(self, values: Tensor) -> Tensor:
        """The same on the grid, float64."""
        weight, bias = (on_grid(each, WEIGHT_STEP, WEIGHT_BOUND) for each in (self.weight, self.bias))
        padded, (rows, columns) = F.pad(values, (1, 1, 1, 1)), values.shape[2:]
        total = bias[:, None, None].expand_as(values)
        for i in range(3):
            for j in range(3):
                total = total + weight[:, 0, i, j, None, None] * padded[..., i : i + rows, j : j + columns]
        return on_grid(total)


class ExactNetwork(nn.Module):
    """1x1, residual blocks of depthwise 3x3 and 1x1, 1x1; ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.first = ExactLinear(inputs, hidden)
        self.neighbors = nn.ModuleList(ExactNeighbors(hidden) for _ in range(blocks))
        self.middle = nn.ModuleList(ExactLinear(hidden, hidden) for _ in range(blocks))
        self.last = ExactLinear(hidden, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, inputs, rows, columns) → (batch, outputs, rows, columns)."""
        values = F.relu(self.first(values))
        for neighbors, middle in zip(self.neighbors, self.middle, strict=True):
            values = F.relu(values + middle(F.relu(values + neighbors(values))))
        return self.last(values)  # type: ignore[no-any-return]

    def exact(self, values: Tensor) -> Tensor:
        """The same from `on_grid` values, float64: bit-equal wherever it runs."""
        values = F.relu(self.first.exact(values))
        for neighbors, middle in zip(self.neighbors, self.middle, strict=True):
            assert isinstance(neighbors, ExactNeighbors)
            assert isinstance(middle, ExactLinear)
            near = F.relu(on_grid(values + neighbors.exact(values)))
            values = F.relu(on_grid(values + middle.exact(near)))
        return self.last.exact(values)


def require_exact(terms: int) -> None:
    """Fail unless a sum of that many products of a weight and a value is exact."""
    largest = math.log2(terms * WEIGHT_BOUND * VALUE_BOUND)
    assert largest - math.log2(WEIGHT_STEP * VALUE_STEP) <= _EXACT_BITS, terms
