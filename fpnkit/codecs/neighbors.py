"""An entropy model without gradients: means and magnitudes are linear in what is already decoded nearby.

Components are coded in slices, and each slice in three passes: every other cell of every other row, then the cells
between them on the diagonals, then the rest, which has neighbors on four sides. Weights come from least squares. All
that the decoder computes lies on grids that float64 sums exactly (see `exact`), in units of quantizer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpnkit.codecs import rans
from fpnkit.codecs.exact import on_grid
from fpnkit.codecs.histograms import HistogramTables

LARGEST_SYMBOL = 2**14
PASSES = 3
LEAST_SHARE = 0.05  # of a component's mean magnitude is expected everywhere
VALUE_STEP, VALUE_BOUND = 2.0**-8, 2.0**14  # of decoded values, in quantizer steps
_WEIGHT_STEP, _WEIGHT_BOUND = 2.0**-14, 2.0**9
_HEARD_STEP, _HEARD_BOUND = 2.0**-8, 2.0**9  # of values as inputs of the means
_MAGNITUDE_STEP = 2.0**-10
_LARGEST_HEARD = 15  # magnitude
_SHARES = (0.03, 0.08, 0.16, 0.28, 0.45, 0.68, 1.0)  # of the components, up to the end of each slice
_SIDES, _DIAGONALS = ((0, 1), (2, 1), (1, 0), (1, 2)), ((0, 0), (0, 2), (2, 0), (2, 2))
_OWN_NEIGHBORS = ((), _DIAGONALS, _SIDES)  # that are decoded before the cells of each pass
_ERROR_BITS = 26.0  # that an error of one step is worth


@dataclass(frozen=True)
class Inputs:
    """What the cells of one pass of a slice are predicted from; (cells, …) each."""

    part: slice
    number: int  # of slice and pass
    mask: Tensor  # (batch, rows, columns)
    mean: Tensor
    magnitude: Tensor
    own: Tensor | None  # (cells, components): magnitudes of the same component around


@dataclass(frozen=True)
class Coded:
    """Components on their way through the coder, (batch, component, rows, columns)."""

    symbols: Tensor  # int64
    values: Tensor  # float64, as decoded, in steps
    bits: Tensor  # float32


Visit = Callable[[Inputs], tuple[Tensor, Tensor]]  # → symbols, values; (cells, components)


class NeighborModel(nn.Module):
    """Codes components (batch, component, rows, columns), in steps, for a number of rates."""

    def __init__(self, components: int, heard: int, side: int, rates: int) -> None:
        """`heard`: components, from the first on, that means are predicted from; `side`: channels of what both know."""
        super().__init__()
        ends = sorted({max(1, round(share * components)) for share in _SHARES})
        self.slices = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        self.heard, self.side = min(heard, components), side
        self.histograms = HistogramTables()
        for number, (place, part) in enumerate(self._parts()):
            width = part.stop - part.start
            means, magnitudes = self._inputs(place, part, side)
            self.register_buffer(f"mean_{number}", torch.zeros(rates, means, width))
            magnitudes += len(_OWN_NEIGHBORS[place][:1])  # the component's own
            self.register_buffer(f"magnitude_{number}", torch.zeros(rates, magnitudes, width))
            self.register_buffer(f"least_{number}", torch.full((rates, width), 1e-4))

    def walk(self, side: Tensor, live: Tensor, visit: Visit) -> tuple[Tensor, Tensor]:
        """Go through the cells in coding order; → symbols and values, zeros where `live` (batch, rows, columns) is not.

        `side` (batch, channels, rows, columns) has the dtype to work in.
        """
        shape = len(side), self.slices[-1].stop, *side.shape[2:]
        values = side.new_zeros(shape)
        symbols = torch.zeros(shape, dtype=torch.int64, device=side.device)
        passes = _passes(side.shape[2], side.shape[3], side.device)
        for number, (place, part) in enumerate(self._parts()):
            mask = live & passes[place]
            found, decoded = visit(self._look(side, values, symbols, part, number, mask))
            _put(symbols[:, part], mask, found)
            _put(values[:, part], mask, decoded)
        return symbols, values

    def quantized(self, components: Tensor, side: Tensor, live: Tensor, rate: int) -> Coded:
        """The sender's way."""
        bits = torch.zeros(components.shape, device=components.device)

        def visit(inputs: Inputs) -> tuple[Tensor, Tensor]:
            mean, index = self.expected(inputs, rate)
            wanted = cells_of(components[:, inputs.part], inputs.mask) - mean
            symbols = self.chosen(wanted, index)
            _put(bits[:, inputs.part], inputs.mask, self.histograms.bits(symbols, index))
            return symbols, self.decoded(mean, symbols)

        symbols, values = self.walk(side, live, visit)
        return Coded(symbols, values, bits)

    def write(self, coded: Coded, side: Tensor, live: Tensor, rate: int) -> bytes:
        """The payload of one image."""
        symbols: list[int] = []
        indexes: list[int] = []

        def visit(inputs: Inputs) -> tuple[Tensor, Tensor]:
            own = cells_of(coded.symbols[:, inputs.part], inputs.mask)
            mean, index = self.expected(inputs, rate)
            symbols.extend(own.flatten().tolist())
            indexes.extend(index.flatten().tolist())
            return own, self.decoded(mean, own)

        self.walk(side, live, visit)
        return rans.encode(symbols, indexes, self.histograms.tables())

    def read(self, payload: bytes, side: Tensor, live: Tensor, rate: int) -> Coded:
        """The receiver's way, one image. Raises `StreamError` for a payload of impossible length."""
        tables, count = self.histograms.tables(), int(live.sum()) * self.slices[-1].stop
        rans.require_length(len(payload), count, f"{count} components")
        reader = rans.Reader(payload, count, tables)

        def visit(inputs: Inputs) -> tuple[Tensor, Tensor]:
            mean, index = self.expected(inputs, rate)
            symbols = reader.take(index.cpu()).clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL).to(index.device)
            return symbols, self.decoded(mean, symbols)

        symbols, values = self.walk(side, live, visit)
        return Coded(symbols, values, symbols.new_zeros(symbols.shape).float())

    def expected(self, inputs: Inputs, rate: int) -> tuple[Tensor, Tensor]:
        """→ means in steps, and the classes of the expected magnitudes."""
        weight, magnitude, least = (
            self.get_buffer(f"{name}_{inputs.number}")[rate].to(inputs.mean.dtype)
            for name in ("mean", "magnitude", "least")
        )
        expected = inputs.magnitude @ magnitude[: inputs.magnitude.shape[1]]
        if inputs.own is not None:
            expected = expected + inputs.own * magnitude[-1]
        mean = on_grid(inputs.mean @ weight, VALUE_STEP, VALUE_BOUND).to(inputs.mean.dtype)
        return mean, self.histograms.index(torch.maximum(expected, least))

    def chosen(self, wanted: Tensor, index: Tensor) -> Tensor:
        """Symbols for distances from the mean."""
        return self.histograms.chosen(wanted, index, _ERROR_BITS)

    def decoded(self, mean: Tensor, symbols: Tensor) -> Tensor:
        """Values in steps. A symbol stands for itself: once the cheaper ones are chosen, the mean of what was rounded
        to it is nearly there.
        """
        return on_grid(mean + symbols, VALUE_STEP, VALUE_BOUND).to(mean.dtype)

    def _parts(self) -> Iterator[tuple[int, slice]]:
        return ((place, part) for part in self.slices for place in range(PASSES))

    def _inputs(self, place: int, part: slice, side: int) -> tuple[int, int]:
        """How many inputs means and magnitudes have."""
        before, own = min(part.start, self.heard), self._own(part)
        slices = self.slices.index(part)
        means = side + before * (1 + len(_SIDES)) + own * len(_OWN_NEIGHBORS[place])
        return means, side + 3 * slices + (1 if _OWN_NEIGHBORS[place] else 0)

    def _own(self, part: slice) -> int:
        """Components of the slice that means are predicted from."""
        return int(max(0, min(part.stop, self.heard) - part.start))

    def _look(self, side: Tensor, values: Tensor, symbols: Tensor, part: slice, number: int, mask: Tensor) -> Inputs:
        around = _OWN_NEIGHBORS[number % PASSES]
        before, own = min(part.start, self.heard), self._own(part)
        known = on_grid(values[:, :before], _HEARD_STEP, _HEARD_BOUND).to(side.dtype)
        mine = on_grid(values[:, part.start : part.start + own], _HEARD_STEP, _HEARD_BOUND).to(side.dtype)
        means = [cells_of(each, mask) for each in (side, known)]
        means += [cells_of(each, mask) for each in _shifted(known, _SIDES)]
        means += [cells_of(each, mask) for each in _shifted(mine, around)]
        magnitudes = [cells_of(side, mask)]
        for other in self.slices[: self.slices.index(part)]:
            mean = _mean_magnitude(symbols[:, other], side.dtype)
            sides = torch.stack(_shifted(mean, _SIDES)).mean(0)
            magnitudes += [cells_of(each, mask) for each in (mean, _rounded(mean.sqrt()), _rounded(sides))]
        if not around:
            return Inputs(part, number, mask, torch.cat(means, 1), torch.cat(magnitudes, 1), None)
        heard = symbols[:, part].abs().clamp(max=_LARGEST_HEARD).to(side.dtype)
        near = torch.stack(_shifted(heard, around)).mean(0)
        magnitudes.append(cells_of(_rounded(near.mean(1, keepdim=True)), mask))
        return Inputs(part, number, mask, torch.cat(means, 1), torch.cat(magnitudes, 1), cells_of(near, mask))


def _rounded(values: Tensor) -> Tensor:
    return on_grid(values, _MAGNITUDE_STEP).to(values.dtype)


def _mean_magnitude(symbols: Tensor, dtype: torch.dtype) -> Tensor:
    total = symbols.abs().clamp(max=_LARGEST_HEARD).sum(1, keepdim=True).to(dtype)
    return _rounded(total / symbols.shape[1])


def _shifted(values: Tensor, offsets: tuple[tuple[int, int], ...]) -> list[Tensor]:
    """The neighbors' values at each cell, 0 beyond the edge."""
    padded, (rows, columns) = F.pad(values, (1, 1, 1, 1)), values.shape[2:]
    return [padded[:, :, top : top + rows, left : left + columns] for top, left in offsets]


def weights_on_grid(weights: Tensor) -> Tensor:
    """As they are stored."""
    return on_grid(weights, _WEIGHT_STEP, _WEIGHT_BOUND).float()


def cells_of(values: Tensor, mask: Tensor) -> Tensor:
    """(batch, channel, rows, columns) → (cells, channel)."""
    return values.permute(0, 2, 3, 1)[mask]


def _put(values: Tensor, mask: Tensor, cells: Tensor) -> None:
    values.permute(0, 2, 3, 1)[mask] = cells.to(values.dtype)


def _passes(rows: int, columns: int, device: torch.device) -> list[Tensor]:
    row, column = torch.arange(rows, device=device)[:, None] % 2, torch.arange(columns, device=device)[None] % 2
    return [(row + column) == 0, (row * column) == 1, (row + column) == 1]
