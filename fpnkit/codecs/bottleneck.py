"""compressai's entropy bottleneck on the safe coder of `rans`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fpnkit.codecs import rans  # before compressai, whose import it keeps quiet
from fpnkit.codecs.noise import drawn_for_batch
from fpnkit.errors import UserError

# isort: split
from compressai._CXX import pmf_to_quantized_cdf
from compressai.entropy_models import EntropyBottleneck
from compressai.layers import GDN
from compressai.ops import LowerBound

__all__ = ["GDN", "Bottleneck", "LowerBound", "pmf_to_quantized_cdf"]

_LIKELIHOOD_BOUND = 1e-9  # compressai's


class Bottleneck(EntropyBottleneck, rans.CodingTables):  # type: ignore[misc]
    """One level's factorized prior: learned densities, and coding tables that are stored with the weights."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in ("_quantized_cdf", "_offset", "_cdf_length"):  # they take the size of the ones that are loaded
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def quantize(self, inputs: Tensor, mode: str, means: Tensor | None = None) -> Tensor:
        """compressai's; `inputs` (channel, 1, values of all images)."""
        if mode == "noise":
            return inputs + drawn_for_batch(inputs, _uniform, axis=2)
        quantized: Tensor = super().quantize(inputs, mode, means)
        return quantized

    def symbols(self, latents: Tensor) -> Tensor:
        """Latents (channel, height, width) → symbols as floats: rounded, 0 at the channel's median."""
        return torch.round(latents - self._medians())

    def latents(self, symbols: Tensor) -> Tensor:
        """The inverse up to rounding; bit-equal to what `forward` gives in evaluation mode."""
        latents: Tensor = symbols.to(torch.float32) + self._medians()
        return latents

    def encode(self, symbols: Tensor) -> bytes:
        """int32 (channel, height, width), none beyond `LARGEST_SYMBOL`; raises `UserError` without coding tables."""
        channels = self._channel_of_each(symbols.shape[1] * symbols.shape[2])
        return rans.encode(symbols.flatten().tolist(), channels.tolist(), self.tables())

    def decode(self, payload: bytes, size: tuple[int, int]) -> Tensor:
        """Symbols int32 (channel, height, width) from arbitrary bytes; raises `StreamError` if their number cannot be
        right.
        """
        tables, cells = self.tables(), size[0] * size[1]
        self._check_length(len(payload), cells)
        reader = rans.Reader(payload, self.channels * cells, tables)
        return reader.take(self._channel_of_each(cells)).int().reshape(self.channels, *size)

    @torch.no_grad()
    def estimated_bits(self, symbols: Tensor) -> float:
        """By the learned densities, as in `forward` in evaluation mode.

        Each channel's density is evaluated once for each value that occurs in the level, not for each cell.
        """
        low, high = int(symbols.min()), int(symbols.max())
        if high - low >= symbols[0].numel():
            return float(self._bits(symbols.flatten(1)).sum())
        bits = self._bits(torch.arange(low, high + 1, device=symbols.device).expand(self.channels, -1))
        return float(bits.gather(1, (symbols.flatten(1) - low).long()).sum())

    def _bits(self, symbols: Tensor) -> Tensor:
        """(channel, n) → bits of each."""
        likelihoods: Tensor
        likelihoods, _, _ = self._likelihood(self._medians() + symbols[:, None])
        return -likelihoods[:, 0].clamp(min=_LIKELIHOOD_BOUND).log2()

    def _medians(self) -> Tensor:
        medians: Tensor = self.quantiles[:, :, 1:2].detach()  # (channel, 1, 1)
        return medians

    def _channel_of_each(self, cells: int) -> Tensor:
        return torch.arange(self.channels).repeat_interleave(cells)

    @property
    def table_count(self) -> int:
        """One a channel."""
        count: int = self.channels
        return count

    def tables(self) -> rans.Tables:
        """For the coder. Raises `UserError` before they are made."""
        if not self._quantized_cdf.numel():  # the coder itself would read on where there is nothing
            raise UserError("codec: required coding tables, found none; call update_tables() before encode or decode")
        return rans.Tables(self._quantized_cdf.tolist(), self._cdf_length.tolist(), self._offset.tolist())

    def _check_length(self, found: int, cells: int) -> None:
        """Check whether a payload of this length can hold these cells.

        The lower limit keeps the decoder's memory in proportion to the file. The coder spends at least 0.999 of a
        symbol's ideal bits: with a state of at least 2^31 and frequencies of 16 bits, rounding loses less than 2^-15 of
        them.
        """
        likeliest = self._quantized_cdf.diff(dim=1).amax(1).double()  # of 65536; beyond a table's end no difference is
        least = int(0.999 * cells * float((16 - likeliest.log2()).sum()) / 8)
        rans.require_length(found, cells * self.channels, f"{cells} cells", least)


def _uniform(like: Tensor) -> Tensor:
    return torch.empty_like(like).uniform_(-0.5, 0.5)
