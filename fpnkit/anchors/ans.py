"""Entropy coding of a few hundred symbols: asymmetric numeral systems (Duda 2013, arXiv:1311.2540) on one whole number.

rANS keeps a state of 64 bits, whose end costs 8 bytes of every file. Here the state is all of the file, so nothing is
lost, and frequencies may be of any size; but time grows with the square of the length.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from fpnkit.errors import StreamError


@dataclass(frozen=True)
class Table:
    """Frequencies of the symbols 0, 1, …, as the sums of those before each, and of all."""

    sums: Sequence[int]

    @classmethod
    def of(cls, counts: Sequence[int]) -> Table:
        """Each count at least 1."""
        return cls([0, *itertools.accumulate(counts)])

    @classmethod
    def even(cls, symbols: int) -> Table:
        """Of symbols that are equally frequent."""
        return cls(range(symbols + 1))


def pack(symbols: Sequence[tuple[Table, int]]) -> bytes:
    """The shortest bytes for these symbols; a table may depend on the symbols before its own.

    `Unpacker` cannot tell where they end unless the last symbol is not the first of its table.
    """
    state = 0
    for table, symbol in reversed(symbols):
        start = table.sums[symbol]
        count = table.sums[symbol + 1] - start
        state = state // count * table.sums[-1] + start + state % count
    return state.to_bytes((state.bit_length() + 7) // 8, "big")


class Unpacker:
    """The symbols of `pack` in their order; arbitrary bytes give some symbols, without an end."""

    def __init__(self, data: bytes) -> None:
        """Raises `StreamError` for what `pack` never gives."""
        if not data or data[0] == 0:
            raise StreamError(f"stream: required symbols, found {'a leading zero' if data else 'none'}")
        self._state = int.from_bytes(data, "big")

    def take(self, table: Table) -> int:
        """The next symbol."""
        more, place = divmod(self._state, table.sums[-1])
        symbol = bisect.bisect_right(table.sums, place) - 1
        start = table.sums[symbol]
        self._state = (table.sums[symbol + 1] - start) * more + place - start
        return symbol

    def require_end(self) -> None:
        """Raise `StreamError` unless all symbols have been taken."""
        if self._state:
            raise StreamError("stream: required the end of its symbols, found more")
