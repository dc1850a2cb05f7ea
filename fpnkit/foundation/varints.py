"""Integers in as few bytes as needed: seven bits per byte, lowest first, the top bit set if more follow."""

from __future__ import annotations

from fpnkit.errors import StreamError

_MOST_BYTES = 5


def varints(*numbers: int) -> bytes:
    """Encode non-negative integers."""
    data = bytearray()
    for number in numbers:
        while number > 127:
            data.append(number & 127 | 128)
            number >>= 7
        data.append(number)
    return bytes(data)


class ByteReader:
    """Reads bytes from the front; every method raises `StreamError` if there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def number(self) -> int:
        """A varint. Only the shortest form is accepted, so that reading and writing a file gives the same bytes."""
        value = 0
        for place in range(_MOST_BYTES):
            (byte,) = self.take(1)
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if byte == 0 and place > 0:
                    raise StreamError(f"stream: required a number in as few bytes as it needs, found {place + 1}")
                return value
        raise StreamError(f"stream: required a number of at most {_MOST_BYTES} bytes, found a longer one")

    def take(self, count: int) -> bytes:
        """The next bytes."""
        part = self._data[self._position : self._position + count]
        if len(part) < count:
            raise StreamError(f"stream: required {count} more bytes, found {len(part)}; the file is cut off")
        self._position += count
        return part

    def rest(self) -> bytes:
        """All remaining bytes."""
        part = self._data[self._position :]
        self._position = len(self._data)
        return part
