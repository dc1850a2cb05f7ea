"""A decoder of compressai's streams, written from its description: rANS (Duda 2013, arXiv:1311.2540) as ryg codes it.

It says how many bytes it took and whether every escape was one that the encoder makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Decoded:
    symbols: list[int]
    bytes_read: int
    plain: bool = True  # no escape of more than 8 nibbles, which is where 32 bits end


class _State:
    def __init__(self, payload: bytes) -> None:
        self._payload, self.position = payload, 0
        self.x = self.word() | self.word() << 32

    def word(self) -> int:
        """Behind the end there are zeros."""
        word = int.from_bytes(self._payload[self.position : self.position + 4].ljust(4, b"\0"), "little")
        self.position += 4
        return word

    def refill(self) -> None:
        if self.x < 2**31:
            self.x = self.x << 32 | self.word()

    def nibble(self) -> int:
        value = self.x & 15
        self.x >>= 4
        self.refill()
        return value


def decode(payload: bytes, channels: Sequence[int], tables: Sequence[Sequence[int]], offsets: Sequence[int]) -> Decoded:
    """`tables`: cumulative frequencies from 0 to 65536 of each channel, of which the last symbol is the escape."""
    state = _State(payload)
    result = Decoded([], 0)
    for channel in channels:
        table = tables[channel]
        place = state.x & 65535
        symbol = next(index for index, start in enumerate(table) if start > place) - 1
        start, frequency = table[symbol], table[symbol + 1] - table[symbol]
        state.x = frequency * (state.x >> 16) + place - start
        state.refill()
        escape = len(table) - 2
        if symbol == escape:
            symbol = _escaped(state, escape, result)
        result.symbols.append(symbol + offsets[channel])
    result.bytes_read = state.position
    return result


def _escaped(state: _State, escape: int, result: Decoded) -> int:
    count = part = state.nibble()
    while part == 15:
        part = state.nibble()
        count += part
    result.plain &= count <= 7
    value = sum(state.nibble() << 4 * place for place in range(count))
    return -(value >> 1) - 1 if value & 1 else (value >> 1) + escape
