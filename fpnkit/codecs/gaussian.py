"""A Gaussian density over whole numbers, for training, and the integer tables that code with it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fpnkit.codecs import rans
from fpnkit.codecs.bottleneck import LowerBound, pmf_to_quantized_cdf
from fpnkit.errors import UserError

SMALLEST_DEVIATION = 0.11  # of quantizer steps: below it a table has nothing but zeros (Ballé et al. 2018)
SCALES = 64  # tables
# Binary logarithms of the smallest deviation, and of the ratio of neighbors up to 256. Written out, because a decoder
# chooses tables by them and `log2` may differ in the last digit between machines.
_FIRST = -3.1844245711374275
_LOG2_STEP = 0.17753054874821314
_TAILS = 6.0  # deviations; symbols beyond are escaped
_BOUND = 1e-9  # of a likelihood
_PRECISION_BITS = 16


class GaussianTables(nn.Module, rans.CodingTables):
    """Coding tables for deviations in geometric progression, stored with the weights.

    Stored, because `exp` and `erf` may differ in the last digit between machines.
    """

    cdf: Tensor
    length: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.bound = LowerBound(_BOUND)
        self.register_buffer("cdf", torch.empty(0, dtype=torch.int32))
        self.register_buffer("length", torch.empty(0, dtype=torch.int32))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in ("cdf", "length"):  # they take the size of the ones that are loaded
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def bits(self, distance: Tensor, log2_deviation: Tensor) -> Tensor:
        """Bits of a symbol at that distance from the mean; both in quantizer steps, any shape."""
        deviation = torch.exp2(log2_deviation.clamp(min=_FIRST))
        far = -distance.abs()  # the lower tail, where differences of small numbers are exact
        likelihood = torch.special.ndtr((far + 0.5) / deviation) - torch.special.ndtr((far - 0.5) / deviation)
        return -torch.log2(self.bound(likelihood))

    def make(self) -> None:
        """Set the tables."""
        rows = []
        for number in range(SCALES):
            deviation = SMALLEST_DEVIATION * 2 ** (number * _LOG2_STEP)
            reach = max(1, math.ceil(_TAILS * deviation))
            symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
            edges = torch.special.ndtr((torch.stack([symbols - 0.5, symbols + 0.5])) / deviation)
            pmf = edges[1] - edges[0]
            outside = (1 - pmf.sum()).clamp(min=2.0**-_PRECISION_BITS)
            rows.append(torch.tensor(pmf_to_quantized_cdf([*pmf.tolist(), outside.item()], _PRECISION_BITS)))
        self.length = torch.tensor([len(row) for row in rows], dtype=torch.int32)
        self.cdf = nn.utils.rnn.pad_sequence([row.int() for row in rows], batch_first=True)

    def index(self, log2_deviation: Tensor) -> Tensor:
        """The nearest table, int64; from float64 that is on a grid, the same on every machine."""
        return ((log2_deviation - _FIRST) / _LOG2_STEP).round().clamp(0, SCALES - 1).long()

    def log2_deviation(self, index: Tensor) -> Tensor:
        """Of a table."""
        return _FIRST + index * _LOG2_STEP

    @property
    def table_count(self) -> int:
        """One a deviation."""
        return SCALES

    def tables(self) -> rans.Tables:
        """For the coder. Raises `UserError` before `make`."""
        if not self.length.numel():
            raise UserError("codec: required coding tables, found none; call update_tables() before encode or decode")
        lengths = self.length.tolist()
        rows = [row[:length] for row, length in zip(self.cdf.tolist(), lengths, strict=True)]
        return rans.Tables(rows, lengths, [-(length - 3) // 2 for length in lengths])
