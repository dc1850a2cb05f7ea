"""Numbers in as few bytes as they need: seven bits a byte, lowest first, the top bit set where more follow."""

from __future__ import annotations

from fpnkit.errors import StreamError

_MOST_BYTES = 5


def varints(*numbers: int) -> bytes:
    """Numbers from 0 up."""
    data = bytearray()
    for number in numbers:
        while number > 127:
            data.append(number & 127 | 128)
            number >>= 7
        data.append(number)
    return bytes(data)


class ByteReader:
    """Takes bytes apart from their front; every method raises `StreamError` where they do not suffice."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def number(self) -> int:
        """A varint. There is one way to write a number, so that a file that is read and written again is the same."""
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
        """The next so many."""
        part = self._data[self._position : self._position + count]
        if len(part) < count:
            raise StreamError(f"stream: required {count} more bytes, found {len(part)}; the file is cut off")
        self._position += count
        return part

    def rest(self) -> bytes:
        """All that is left."""
        part = self._data[self._position :]
        self._position = len(self._data)
        return part
