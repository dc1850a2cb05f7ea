"""Ways in which a file can be wrong."""

import random

from tests.support.raw_stream import resealed


def mutated(data: bytes, generator: random.Random) -> bytes:
    """One to three faults, after which half of the files get a checksum that fits."""
    for _ in range(generator.randint(1, 3)):
        data = generator.choice(_FAULTS)(data, generator)
    return resealed(data) if generator.random() < 0.5 else data


def _flip(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[_near_start(len(changed), generator)] ^= 1 << generator.randrange(8)
    return bytes(changed)


def _set(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[_near_start(len(changed), generator)] = generator.choice((0, 1, 127, 128, 254, 255))
    return bytes(changed)


def _truncate(data: bytes, generator: random.Random) -> bytes:
    return data[: _near_start(len(data) + 1, generator)]


def _insert(data: bytes, generator: random.Random) -> bytes:
    place = _near_start(len(data) + 1, generator)
    return data[:place] + generator.randbytes(generator.randint(1, 9)) + data[place:]


def _remove(data: bytes, generator: random.Random) -> bytes:
    place = _near_start(len(data) + 1, generator)
    return data[:place] + data[place + generator.randint(1, 9) :]


def _splice(data: bytes, generator: random.Random) -> bytes:
    start, end = sorted((generator.randrange(len(data) + 1), generator.randrange(len(data) + 1)))
    place = generator.randrange(len(data) + 1)
    return data[:place] + data[start:end] + data[place:]


def _randomise(data: bytes, generator: random.Random) -> bytes:
    place = generator.randrange(len(data) + 1)
    return data[:place] + generator.randbytes(len(data) - place)


def _fill(data: bytes, generator: random.Random) -> bytes:
    """All ones or zeros from somewhere on: what makes entropy decoders read on and on."""
    place = generator.randrange(len(data) + 1)
    return data[:place] + bytes([generator.choice((0, 255))]) * (len(data) - place)


def _append(data: bytes, generator: random.Random) -> bytes:
    return data + generator.randbytes(generator.randint(1, 40))


_FAULTS = (_flip, _set, _truncate, _insert, _remove, _splice, _randomise, _fill, _append)


def _near_start(length: int, generator: random.Random) -> int:
    """A place, half of the time in the header."""
    return generator.randrange(min(length, 45) if generator.random() < 0.5 else length)
