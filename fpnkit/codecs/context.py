"""An entropy model for a grid of latents: Gaussians whose mean and deviation follow from what is already decoded.

Latents are coded in slices of channels (Minnen and Singh 2020, arXiv:2007.08739), and each slice in two passes over a
checkerboard (He et al. 2021, arXiv:2103.15306). All that the decoder computes before a symbol is known lies on the
grids of `exact`, so that it is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fpnkit.codecs import rans
from fpnkit.codecs.exact import ExactNetwork, on_grid
from fpnkit.codecs.gaussian import GaussianTables
from fpnkit.codecs.noise import drawn_for_batch

LARGEST_SYMBOL = 2**14  # symbol times step is then exact
_TOO_LARGE = 2.0 * LARGEST_SYMBOL  # stands for whatever cannot be coded
_MEAN_STEPS = 16  # a mean is a multiple of 1/16 of a quantizer step
_GROWTH = 1.6  # of the slices: the first are small, because the others follow from them


@dataclass(frozen=True)
class Relaxed:
    """What training and search see in place of symbols."""

    latents: Tensor  # as decoded, with the gradient of the identity
    bits: Tensor  # of each, float


@dataclass(frozen=True)
class Coded:
    """Latents on their way through the coder; all (batch, channel, rows, columns)."""

    symbols: Tensor  # int64
    latents: Tensor  # float64, as decoded
    index: Tensor  # int64, of each symbol's table


TakeSymbols = Callable[[Tensor, Tensor, slice, Tensor], Tensor]  # (means, table indexes, channels, cells) → symbols


@dataclass(frozen=True)
class Steps:
    """Quantizer steps of one quality each: (batch, channel, 1, 1)."""

    step: Tensor
    log2: Tensor


class ContextModel(nn.Module):
    """Codes latents (batch, channel, rows, columns) whose deviations are about 1."""

    def __init__(self, channels: int, hidden: int, side: int, *, slices: int, checkerboard: bool, blocks: int) -> None:
        """`side`: channels of what both sides know."""
        super().__init__()
        ends = _ends(channels, slices)
        self.slices = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        self.passes = 2 if checkerboard else 1
        inputs = [side + part.start + (part.stop - part.start + 1 if checkerboard else 0) for part in self.slices]
        outputs = [2 * (part.stop - part.start) for part in self.slices]
        self.networks = nn.ModuleList(ExactNetwork(i, hidden, o, blocks) for i, o in zip(inputs, outputs, strict=True))
        self.gaussian = GaussianTables()

    def relaxed(self, latents: Tensor, side: Tensor, steps: Steps, *, noise: bool) -> Relaxed:
        """float32 with gradients; the rate is that of noisy latents, or of the rounded ones with the
        gradient that it has before rounding.
        """
        known, bits = latents.new_zeros(len(latents), 0, *latents.shape[2:]), []
        for part, network in zip(self.slices, self.networks, strict=True):
            own, step = latents[:, part], steps.step[:, part]
            decoded, cost = torch.zeros_like(own), torch.zeros_like(own)
            for cells in self._passes(own):
                inputs = self._inputs(side, known, decoded, cells)
                mean, log2_deviation = network(inputs).float().chunk(2, dim=1)
                distance = (own - mean) / step
                rounded = distance + (distance.round() - distance).detach()
                log2 = log2_deviation - steps.log2[:, part]
                if noise:
                    new = self.gaussian.bits(distance + drawn_for_batch(distance, torch.rand_like) - 0.5, log2)
                else:
                    new = _valued(
                        self.gaussian.bits(distance, log2), self.gaussian.bits(rounded.detach(), log2.detach())
                    )
                cost = cost + cells * new
                decoded = decoded + cells * (mean + rounded * step)
            known = torch.cat([known, decoded], dim=1)
            bits.append(cost)
        return Relaxed(known, torch.cat(bits, dim=1))

    @torch.no_grad()
    def coded(self, side: Tensor, steps: Steps, size: tuple[int, int], take: TakeSymbols) -> Coded:
        """Go through the latents in coding order; `take` gives symbols once their distribution is known."""
        side = on_grid(side)
        known = side.new_zeros(len(side), 0, *size)
        exact, symbols, indexes = known, [], []
        for part, network in zip(self.slices, self.networks, strict=True):
            own = side.new_zeros(len(side), part.stop - part.start, *size)
            decoded, context, found, index = own, own, own.long(), own.long()
            step, log2 = steps.step[:, part], steps.log2[:, part]
            for cells in self._passes(own):
                assert isinstance(network, ExactNetwork)
                mean, log2_deviation = network.exact(self._inputs(side, known, context, cells)).chunk(2, dim=1)
                mean = (mean / step * _MEAN_STEPS).round().clamp(-(2**20), 2**20) / _MEAN_STEPS
                chosen = self.gaussian.index(log2_deviation - log2)
                new = take(mean, chosen, part, cells)
                mask = cells.bool()
                found, index = torch.where(mask, new, found), torch.where(mask, chosen, index)
                decoded = torch.where(mask, (new + mean) * step, decoded)
                context = on_grid(decoded)
            known, exact = torch.cat([known, context], dim=1), torch.cat([exact, decoded], dim=1)
            symbols.append(found)
            indexes.append(index)
        return Coded(torch.cat(symbols, dim=1), exact, torch.cat(indexes, dim=1))

    def quantized(self, latents: Tensor, side: Tensor, steps: Steps) -> Coded:
        """The sender's way: symbols of these latents."""
        exact = latents.double()

        def take(mean: Tensor, index: Tensor, part: slice, cells: Tensor) -> Tensor:
            symbols = (exact[:, part] / steps.step[:, part] - mean).round()
            return symbols.nan_to_num(_TOO_LARGE).clamp(-_TOO_LARGE, _TOO_LARGE).long()

        return self.coded(side, steps, (latents.shape[2], latents.shape[3]), take)

    def read(self, payload: bytes, side: Tensor, steps: Steps) -> Coded:
        """The receiver's way, one image. Raises `StreamError` for a payload of impossible length."""
        size = side.shape[2], side.shape[3]
        count = self.slices[-1].stop * size[0] * size[1]
        rans.require_length(len(payload), count, f"{count} latents")
        reader = rans.Reader(payload, count, self.gaussian.tables())

        def take(mean: Tensor, index: Tensor, part: slice, cells: Tensor) -> Tensor:
            mask = cells.bool().expand_as(index)
            symbols = torch.zeros_like(index)
            found = reader.take(index[mask].cpu()).clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL)
            symbols[mask] = found.to(symbols.device)
            return symbols

        return self.coded(side, steps, size, take)

    def write(self, coded: Coded) -> bytes:
        """The payload of one image."""
        symbols: list[int] = []
        indexes: list[int] = []
        for part in self.slices:
            for cells in self._passes(coded.latents[:, part]):
                mask = cells.bool().expand_as(coded.symbols[:, part])
                symbols += coded.symbols[:, part][mask].tolist()
                indexes += coded.index[:, part][mask].tolist()
        return rans.encode(symbols, indexes, self.gaussian.tables())

    def bits(self, coded: Coded) -> Tensor:
        """Estimated, of each latent."""
        return self.gaussian.bits(coded.symbols.float(), self.gaussian.log2_deviation(coded.index))

    def _passes(self, like: Tensor) -> Sequence[Tensor]:
        """(1, 1, rows, columns) of 0 and 1: the cells of each pass."""
        rows, columns = (torch.arange(length, device=like.device) for length in like.shape[2:])
        if self.passes == 1:
            return (like.new_ones(1, 1, len(rows), len(columns)),)
        second = ((rows[:, None] + columns) % 2).to(like.dtype)[None, None]
        return 1 - second, second

    def _inputs(self, side: Tensor, known: Tensor, decoded: Tensor, cells: Tensor) -> Tensor:
        parts = [side, known]
        if self.passes == 2:
            parts += [decoded, cells.expand(len(side), -1, -1, -1)]
        return torch.cat(parts, dim=1)


def _valued(gradient: Tensor, value: Tensor) -> Tensor:
    """The second's value with the first's gradient."""
    return gradient + (value - gradient).detach()


def interpolated(table: Tensor, quality: Tensor, per_unit: int) -> Tensor:
    """Rows of `table` (quality, channel) at `quality` (batch,), linear between them: (batch, channel, 1, 1).

    In float64 from values on a grid, the only rounding is that of a last division.
    """
    thousandths = (quality.double() * per_unit).round().long()
    below = torch.div(thousandths, per_unit, rounding_mode="floor").clamp(0, max(0, len(table) - 2))
    above = (below + 1).clamp(max=len(table) - 1)
    rest = (thousandths - below * per_unit)[:, None].to(table.dtype)
    return (((per_unit - rest) * table[below] + rest * table[above]) / per_unit)[:, :, None, None]


def _ends(channels: int, slices: int) -> list[int]:
    """Last channels of the slices."""
    sizes = [_GROWTH**number for number in range(slices)]
    ends = [round(channels * sum(sizes[: number + 1]) / sum(sizes)) for number in range(slices)]
    return [max(number + 1, end) for number, end in enumerate(ends)]
