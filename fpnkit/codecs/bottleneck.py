"""compressai's entropy bottleneck, with its rANS coder used so that no input can crash the process.

Facts about the coder come from compressai's `rans_interface.cpp` and ryg's `rans64.h`: a 64-bit state, refilled with
one 32-bit word whenever it falls below 2^31; nothing checks for the end of the payload. A symbol outside its table is
escaped: a sentinel, the number of nibbles that follow as a sum of nibbles of which all but the last are 15, and these
nibbles.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fpnkit.errors import StreamError, UserError

with warnings.catch_warnings():  # of torch_geometric, which compressai imports and fpnkit cannot fix
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from compressai.ans import RansDecoder, RansEncoder
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import GDN

__all__ = ["GDN", "LARGEST_SYMBOL", "Bottleneck"]

# Larger ones are not exact in float32, and from 2^27 on the encoder's search for the number of nibbles has no end.
LARGEST_SYMBOL = 2**24

_WORD_BYTES = 4
_FLUSH_BYTES = 8  # the encoder's last state
_SYMBOL_BYTES = 6  # at most: 16 bits of the sentinel, 4 of the number of nibbles, 7 nibbles
_FEWEST_SYMBOLS = 3  # the encoder's buffer has one word a symbol: with fewer, the last state is written before it
_LIKELIHOOD_BOUND = 1e-9  # compressai's


class Bottleneck(EntropyBottleneck):  # type: ignore[misc]
    """One level's factorized prior: learned densities, and coding tables that are stored with the weights."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in ("_quantized_cdf", "_offset", "_cdf_length"):  # they take the size of the ones that are loaded
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def symbols(self, latents: Tensor) -> Tensor:
        """Latents (channel, height, width) → symbols as floats: rounded, 0 at the channel's median."""
        return torch.round(latents - self._medians())

    def latents(self, symbols: Tensor) -> Tensor:
        """The inverse up to rounding; bit-equal to what `forward` gives in evaluation mode."""
        latents: Tensor = symbols.to(torch.float32) + self._medians()
        return latents

    def encode(self, symbols: Tensor) -> bytes:
        """int32 (channel, height, width), none beyond `LARGEST_SYMBOL`; raises `UserError` without coding tables."""
        tables = self._tables()
        values, channels = symbols.flatten().tolist(), self._channel_of_each(symbols.shape[1] * symbols.shape[2])
        missing = max(0, _FEWEST_SYMBOLS - len(values))  # at the end, where the decoder does not come
        return bytes(RansEncoder().encode_with_indexes(values + [0] * missing, channels + [0] * missing, *tables))

    def decode(self, payload: bytes, size: tuple[int, int]) -> Tensor:
        """Symbols int32 (channel, height, width) from arbitrary bytes; raises `StreamError` if their number cannot be
        right.
        """
        tables, cells = self._tables(), size[0] * size[1]
        self._check_length(len(payload), cells)
        readable = payload + bytes(_overrun(len(payload), self.channels * cells))
        values = RansDecoder().decode_with_indexes(readable, self._channel_of_each(cells), *tables)
        return torch.from_numpy(np.array(values, np.int32).reshape(self.channels, *size))

    @torch.no_grad()
    def estimated_bits(self, symbols: Tensor) -> float:
        """By the learned densities, as in `forward` in evaluation mode.

        Each channel's density is evaluated once for each value that occurs in the level, not for each cell.
        """
        low, high = int(symbols.min()), int(symbols.max())
        if high - low >= symbols[0].numel():
            return float(self._bits(symbols.flatten(1)).sum())
        bits = self._bits(torch.arange(low, high + 1).expand(self.channels, -1))
        return float(bits.gather(1, (symbols.flatten(1) - low).long()).sum())

    def _bits(self, symbols: Tensor) -> Tensor:
        """(channel, n) → bits of each."""
        likelihoods: Tensor
        likelihoods, _, _ = self._likelihood(self._medians() + symbols[:, None])
        return -likelihoods[:, 0].clamp(min=_LIKELIHOOD_BOUND).log2()

    def _medians(self) -> Tensor:
        medians: Tensor = self.quantiles[:, :, 1:2].detach()  # (channel, 1, 1)
        return medians

    def _channel_of_each(self, cells: int) -> list[int]:
        channels: list[int] = torch.arange(self.channels).repeat_interleave(cells).tolist()
        return channels

    def _tables(self) -> tuple[list[list[int]], list[int], list[int]]:
        if not self._quantized_cdf.numel():  # the coder itself would read on where there is nothing
            raise UserError("codec: required coding tables, found none; call update_tables() before encode or decode")
        return self._quantized_cdf.tolist(), self._cdf_length.tolist(), self._offset.tolist()

    def _check_length(self, found: int, cells: int) -> None:
        """Check whether a payload of this length can hold these cells.

        The lower limit keeps the decoder's memory in proportion to the file. The coder spends at least 0.999 of a
        symbol's ideal bits: with a state of at least 2^31 and frequencies of 16 bits, rounding loses less than 2^-15 of
        them.
        """
        likeliest = self._quantized_cdf.diff(dim=1).amax(1).double()  # of 65536; beyond a table's end no difference is
        least = int(0.999 * cells * float((16 - likeliest.log2()).sum()) / 8)
        least = max(_FLUSH_BYTES, -(-least // _WORD_BYTES) * _WORD_BYTES)
        most = _FLUSH_BYTES + _SYMBOL_BYTES * max(_FEWEST_SYMBOLS, cells * self.channels)
        if not least <= found <= most or found % _WORD_BYTES:
            raise StreamError(
                f"required {least} to {most} bytes in words of {_WORD_BYTES} for {cells} cells, found {found} bytes"
            )


def _overrun(payload: int, symbols: int) -> int:
    """Number of zero bytes to append to a payload, because the decoder may read that far past its end when no encoder
    made it. One symbol may begin inside, be escaped, and have taken its number of nibbles from all of the payload:
    two nibbles a byte, each adding 15 nibbles, which are half a byte: 15 bytes a byte. The others begin behind the
    end. There a state has at most 63 bits that are not zero, of which 32 are gone before the refill, whose zeros end
    the number: at most 8 nibbles of 15 and one 0 make 120 nibbles, which with them and the 16 bits of the sentinel
    are 532 bits. A state below 2^31 takes a word with each operation, but cannot come from a larger one: it has read
    its words one by one from the start, 4 bytes for a nibble where the others have half a byte.
    """
    return 15 * payload + 67 * symbols + 2 * _FLUSH_BYTES
