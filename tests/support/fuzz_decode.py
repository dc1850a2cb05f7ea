"""Decodes wrong files with a real model: python -m tests.support.fuzz_decode COUNT SEED

Prints how many were decoded and how many refused, and by how many kilobytes memory grew. A crash of the entropy decoder
ends the process, which is why it has its own.
"""

import random
import resource
import sys
import zlib
from dataclasses import replace

import torch

from fpnkit.codecs.base import symbols_crc
from fpnkit.codecs.factorized import FactorizedPyramidCodec
from fpnkit.container import StreamFile, of_each_level, read, write
from fpnkit.errors import StreamError
from tests.support.fixed_codec import coder, trained
from tests.support.golden import FOLDER, GOLDEN
from tests.support.mutations import mutated
from tests.support.raw_stream import resealed

torch.set_num_threads(1)


def with_fitting_symbols(stream: StreamFile, codec: FactorizedPyramidCodec) -> StreamFile:
    """The same file with the checksum of whatever symbols its payloads give: what an attacker would write."""
    crc = 0
    if len(stream.payloads) != len(codec.levels):
        return stream
    for (name, level), payload, size in zip(codec.levels.items(), stream.payloads, stream.sizes, strict=True):
        multiple = codec.multiples[name]
        symbols = level.bottleneck.decode(payload.data, (-(-size[0] // multiple), -(-size[1] // multiple)))
        crc = symbols_crc(symbols, crc)
    return replace(stream, symbols_crc=crc)


def other_payloads(data: bytes, generator: random.Random) -> bytes:
    """Whole words of anything in place of the payloads, under a header that is right."""
    stream = read(data)
    fills = [generator.randbytes(4), b"\xff" * 4, b"\0" * 4, b"\1\0\0\0"]
    payloads = of_each_level(
        *(
            b"".join(
                generator.choice(fills) if generator.random() < 0.3 else generator.randbytes(4)
                for _ in range(len(payload.data) // 4)
            )
            if generator.random() < 0.5
            else generator.choice(fills) * generator.randint(2, 40)
            for payload in stream.payloads
        )
    )
    return write(replace(stream, payloads=payloads))


def main(count: int, seed: int) -> None:
    receiver, codec, generator = coder(), trained().codec, random.Random(seed)
    assert isinstance(codec, FactorizedPyramidCodec)
    originals = [(FOLDER / f"{name}.fpn").read_bytes() for name in GOLDEN]
    for data in originals:
        receiver.decode(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = {"decoded": 0, "refused": 0}
    for number in range(count):
        data = generator.choice(originals)
        data = other_payloads(data, generator) if number % 2 else resealed(mutated(data, generator))
        try:
            stream = read(data)
            receiver.check(stream)
            if number % 4 < 2:
                stream = with_fitting_symbols(stream, codec)
            receiver.decode_stream(stream)
            results["decoded"] += 1
        except StreamError:
            results["refused"] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(*results.values(), grown, zlib.crc32(data))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
