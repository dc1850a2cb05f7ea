"""Coding tables for whole numbers, one for each expected magnitude: histograms of what was coded in training."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fpnkit.codecs import rans
from fpnkit.codecs.bottleneck import pmf_to_quantized_cdf
from fpnkit.errors import UserError

CLASSES = 64
COUNTED = 31  # magnitudes from here on share a count
_SMALLEST, _LARGEST = 1e-4, 256.0  # expected magnitudes of the first and the last class
_FIRST, _LAST = math.log2(_SMALLEST), math.log2(_LARGEST)
_PRECISION_BITS = 16
_PRIOR_COUNTS = 20.0  # of the distribution that a histogram starts with
_LEAST_REACH, _REACH = 3, 12.0  # symbols within so many expected magnitudes are in a table, others escaped
_TOO_LARGE = 2.0**24  # for a symbol, but not for the arithmetic with it
_ESCAPE_NIBBLES = 2.0  # that tell the number of nibbles of an escaped symbol, about


class HistogramTables(nn.Module, rans.CodingTables):
    """Stored with the weights: frequencies are whole numbers, and so the same on every machine."""

    cdf: Tensor
    length: Tensor
    limits: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cdf", torch.empty(0, dtype=torch.int32))
        self.register_buffer("length", torch.empty(0, dtype=torch.int32))
        middle = _FIRST + (torch.arange(CLASSES - 1) + 0.5) * (_LAST - _FIRST) / (CLASSES - 1)
        self.register_buffer("limits", middle.double().exp2())
        self._bits: tuple[Tensor, Tensor, Tensor] | None = None  # of these tables

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in ("cdf", "length"):  # they take the size of the ones that are loaded
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def index(self, magnitude: Tensor) -> Tensor:
        """The class of an expected magnitude, int64: comparisons alone, so that no machine can differ."""
        return torch.bucketize(magnitude, self.limits.to(magnitude.dtype))

    def make(self, counts: Tensor) -> None:
        """Set the tables from (class, magnitude up to `COUNTED`); zeros leave a two-sided geometric distribution."""
        rows = []
        for number, count in enumerate(counts.double()):
            expected = 2.0 ** (_FIRST + number * (_LAST - _FIRST) / (CLASSES - 1))
            reach = max(_LEAST_REACH, math.ceil(_REACH * expected))
            rows.append(torch.tensor(pmf_to_quantized_cdf(_pmf(count, expected, reach), _PRECISION_BITS)))
        self.length = torch.tensor([len(row) for row in rows], dtype=torch.int32, device=counts.device)
        self.cdf = nn.utils.rnn.pad_sequence([row.int() for row in rows], batch_first=True).to(counts.device)

    def bits(self, symbols: Tensor, index: Tensor) -> Tensor:
        """That the coder spends on each, float32."""
        table, reach = self._bits_table()
        near = reach[index]
        far = symbols.abs() > near
        place = torch.where(far, 2 * near + 1, symbols + near)
        escaped = 4 * (_ESCAPE_NIBBLES + (symbols.abs().clamp(min=1).float().log2() / 4).ceil())
        return table.flatten()[index * table.shape[1] + place] + far * escaped

    def chosen(self, wanted: Tensor, index: Tensor, error_bits: float) -> Tensor:
        """Each symbol is the one of the nearest two that is cheaper with its error; `error_bits`: of one step."""
        nearest = wanted.round().nan_to_num(_TOO_LARGE, _TOO_LARGE, -_TOO_LARGE).clamp(-_TOO_LARGE, _TOO_LARGE).long()
        some = nearest != 0
        distance, table, candidate = wanted[some], index[some], nearest[some]
        costs = []
        for symbols in (candidate, candidate - candidate.sign()):
            costs.append(error_bits * (distance - symbols).square() + self.bits(symbols, table))
        nearest[some] = torch.where(costs[1] < costs[0], candidate - candidate.sign(), candidate)
        return nearest

    @property
    def table_count(self) -> int:
        """One a class."""
        return CLASSES

    def tables(self) -> rans.Tables:
        """For the coder. Raises `UserError` before `make`."""
        self._require()
        lengths = self.length.tolist()
        rows = [row[:length] for row, length in zip(self.cdf.tolist(), lengths, strict=True)]
        return rans.Tables(rows, lengths, [-(length - 3) // 2 for length in lengths])

    def _require(self) -> None:
        if not self.length.numel():
            raise UserError("codec: required coding tables, found none; they are made when training starts")

    def _bits_table(self) -> tuple[Tensor, Tensor]:
        """→ bits of each place in each table, largest magnitude in each table."""
        self._require()
        if self._bits is None or self._bits[0] is not self.cdf:
            bits = _PRECISION_BITS - self.cdf.diff(dim=1).clamp(min=1).float().log2()
            self._bits = self.cdf, bits, (self.length.long() - 3) // 2
        return self._bits[1:]


def _pmf(count: Tensor, expected: float, reach: int) -> list[float]:
    """Probabilities from -reach to reach, and of everything beyond."""
    decay = (math.sqrt(1 + expected**2) - 1) / expected
    magnitude = torch.arange(reach + 1, dtype=torch.float64)
    prior = (1 - decay) / (1 + decay) * decay**magnitude * torch.where(magnitude == 0, 1.0, 2.0)
    total, near = count.sum() + _PRIOR_COUNTS, min(COUNTED, reach + 1)
    chance = _PRIOR_COUNTS * prior
    chance[:near] += count[:near]
    far = count[near:].sum()  # spread as the prior spreads them
    if near <= reach:
        chance[near:] += far * prior[near:] / prior[near:].sum().clamp(min=1e-300)
        far = far * 0
    outside = (far + _PRIOR_COUNTS * (1 - prior.sum()).clamp(min=0)) / total
    sides = chance / total
    half = sides[1:] / 2
    return [*half.flip(0).tolist(), sides[0].item(), *half.tolist(), max(outside.item(), 2.0**-_PRECISION_BITS)]
