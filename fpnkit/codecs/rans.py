"""compressai's rANS coder, used so that no input can crash the process.

Facts about the coder come from compressai's `rans_interface.cpp` and ryg's `rans64.h`: a 64-bit state, refilled with
one 32-bit word whenever it falls below 2^31; nothing checks for the end of the payload. A symbol outside its table is
escaped: a sentinel, the number of nibbles that follow as a sum of nibbles of which all but the last are 15, and these
nibbles.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fpnkit.errors import StreamError, WeightsError

with warnings.catch_warnings():  # of torch_geometric, which compressai imports and fpnkit cannot fix
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from compressai.ans import RansDecoder, RansEncoder

# Larger ones are not exact in float32, and from 2^27 on the encoder's search for the number of nibbles has no end.
LARGEST_SYMBOL = 2**24
WORD_BYTES = 4
FLUSH_BYTES = 8  # the encoder's last state

_WHOLE = 2**16  # of which the frequencies are parts
_SHORTEST = 3  # of a table: one symbol and the sentinel
_SYMBOL_BYTES = 6  # at most: 16 bits of the sentinel, 4 of the number of nibbles, 7 nibbles
_FEWEST_SYMBOLS = 3  # the encoder's buffer has one word a symbol: with fewer, the last state is written before it


@dataclass(frozen=True)
class Tables:
    """Cumulative frequencies of the symbols, out of 65536, by table."""

    cdf: list[list[int]]
    length: list[int]
    offset: list[int]  # first symbol


class CodingTables(ABC):
    """A module whose coding tables are stored with the weights, so that they may come from anywhere."""

    @property
    @abstractmethod
    def table_count(self) -> int:
        """How many tables the coder may be asked to use."""

    @abstractmethod
    def tables(self) -> Tables:
        """For the coder. Raises `UserError` before they are made."""


def require_sound(tables: Tables, count: int) -> None:
    """Raise `WeightsError` for tables with which the coder, which checks nothing, would read beyond their ends."""
    found = {len(tables.cdf), len(tables.length), len(tables.offset)}
    if found != {count}:
        raise WeightsError(f"required {count} coding tables, found {', '.join(map(str, sorted(found)))}")
    for number, (row, length, first) in enumerate(zip(tables.cdf, tables.length, tables.offset, strict=True)):
        if not _rises(row, length) or any(row[length:]):
            raise WeightsError(
                f"coding table {number}: required whole numbers that rise from 0 to {_WHOLE}, "
                f"at least {_SHORTEST} of them, found {length} that do not"
            )
        if type(first) is not int or abs(first) > LARGEST_SYMBOL:
            raise WeightsError(f"coding table {number}: required a first symbol within {LARGEST_SYMBOL}, found {first}")


def _rises(row: object, length: object) -> bool:
    """Whether the first `length` numbers of a row are cumulative frequencies."""
    if type(length) is not int or not isinstance(row, list) or not _SHORTEST <= length <= len(row):
        return False
    used = row[:length]
    whole = all(type(value) is int for value in row)
    return whole and used[0] == 0 and used[-1] == _WHOLE and all(a < b for a, b in pairwise(used))


def encode(symbols: list[int], indexes: list[int], tables: Tables) -> bytes:
    """Each symbol with the table of its index; none beyond `LARGEST_SYMBOL`."""
    more = [0] * max(0, _FEWEST_SYMBOLS - len(symbols))  # at the end, where the decoder does not come
    last = [indexes[-1] if indexes else 0] * len(more)
    return bytes(
        RansEncoder().encode_with_indexes(symbols + more, indexes + last, tables.cdf, tables.length, tables.offset)
    )


def most_bytes(symbols: int) -> int:
    """No payload of that many symbols is longer."""
    return FLUSH_BYTES + _SYMBOL_BYTES * max(_FEWEST_SYMBOLS, symbols)


class Reader:
    """Symbols of a payload of arbitrary bytes, part by part."""

    def __init__(self, payload: bytes, symbols: int, tables: Tables) -> None:
        """`symbols`: that will be read in all."""
        self._decoder, self._tables = RansDecoder(), tables
        self._decoder.set_stream(payload + bytes(_overrun(len(payload), symbols)))

    def take(self, indexes: Tensor) -> Tensor:
        """The next symbols, int64, of the shape of `indexes`."""
        tables = self._tables
        found = self._decoder.decode_stream(indexes.flatten().tolist(), tables.cdf, tables.length, tables.offset)
        return torch.from_numpy(np.array(found, np.int64)).reshape(indexes.shape)


def require_length(found: int, symbols: int, what: str, least: int = FLUSH_BYTES) -> None:
    """Raise `StreamError` unless a payload of that many bytes can hold the symbols; `what`: they, for the message."""
    least, most = max(FLUSH_BYTES, -(-least // WORD_BYTES) * WORD_BYTES), most_bytes(symbols)
    if not least <= found <= most or found % WORD_BYTES:
        raise StreamError(f"required {least} to {most} bytes in words of {WORD_BYTES} for {what}, found {found} bytes")


def _overrun(payload: int, symbols: int) -> int:
    """Number of zero bytes to append to a payload, because the decoder may read that far past its end when no encoder
    made it. One symbol may begin inside, be escaped, and have taken its number of nibbles from all of the payload:
    two nibbles a byte, each adding 15 nibbles, which are half a byte: 15 bytes a byte. The others begin behind the
    end. There a state has at most 63 bits that are not zero, of which 32 are gone before the refill, whose zeros end
    the number: at most 8 nibbles of 15 and one 0 make 120 nibbles, which with them and the 16 bits of the sentinel
    are 532 bits. A state below 2^31 takes a word with each operation, but cannot come from a larger one: it has read
    its words one by one from the start, 4 bytes for a nibble where the others have half a byte.
    """
    return 15 * payload + 67 * symbols + 2 * FLUSH_BYTES
