"""Decodes wrong files with real codecs: python -m tests.support.fuzz_decode COUNT SEED [SECONDS]

Takes the codecs in turns. Prints what became of the files as JSON. A crash of an entropy decoder ends the process,
which is why it has its own; so does a file that takes longer than a minute.
"""

from __future__ import annotations

import faulthandler
import json
import random
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from fpnkit.codecs.base import Codec
from fpnkit.codecs.coder import ReceivedFeatures
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, model_hash
from fpnkit.container import StreamFile, read, write
from fpnkit.errors import FpnkitError, StreamError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from tests.support import fixed_codec, fused, golden_fused, linear_codec, tiny
from tests.support.golden import FOLDER, GOLDEN
from tests.support.mutations import mutated

HANGS = 60.0  # seconds
torch.set_num_threads(1)


@dataclass(frozen=True)
class Subject:
    """A codec, and files that it wrote with what they become."""

    coder: LearnedCoder
    originals: list[tuple[StreamFile, bytes, Pyramid]]

    @classmethod
    def of(cls, coder: LearnedCoder, files: list[bytes]) -> Subject:
        return cls(coder, [(read(data), data, _pyramid(coder, data)) for data in files])


def _pyramid(coder: LearnedCoder, data: bytes) -> Pyramid:
    received = coder.decode(data)
    assert isinstance(received, ReceivedFeatures)
    return received.pyramid


def _coder(codec: Codec, kind: str, quality: float | None = None) -> LearnedCoder:
    config = tiny.config()
    config = config.model_copy(update={"codec": config.codec.model_copy(update={"kind": kind})})
    return LearnedCoder(TrainedCodec(codec, config, "f" * 64, 1, model_hash(codec.state_dict())), quality)


def _with_curve(codec: Codec, kind: str, pyramids: list[tuple[Pyramid, ImageGeometry]]) -> Subject:
    """At two qualities."""
    files = []
    for quality in (0.0, 1.375):
        coder = _coder(codec, kind, quality)
        for pyramid, geometry in pyramids:
            source = type("Source", (), {"pyramid": pyramid, "geometry": geometry})
            files.append(coder.encode(source).data)  # type: ignore[arg-type]
    return Subject.of(_coder(codec, kind), files)


def subjects() -> dict[str, Subject]:
    """Of every codec."""
    linear = linear_codec.shared()
    linear.update_tables()
    small = [(fused.pyramid(1, *size), fused.geometry(*size)) for size in ((32, 48), (17, 33))]
    flat = [(linear_codec.pyramid(*size), linear_codec.geometry(*size)) for size in ((32, 48), (17, 33))]
    return {
        "factorized": Subject.of(fixed_codec.coder(), [(FOLDER / f"{name}.fpn").read_bytes() for name in GOLDEN]),
        "fused": _with_curve(golden_fused.codec(), "fused", small),
        "linear": _with_curve(linear, "linear", flat),
    }


def other_payloads(stream: StreamFile, generator: random.Random) -> StreamFile:
    """Whole words of anything in place of the payloads, under a header that is right."""
    fills = [generator.randbytes(4), b"\xff" * 4, b"\0" * 4, b"\1\0\0\0"]
    made = []
    for payload in stream.payloads:
        words = len(payload.data) // 4
        if generator.random() < 0.5:
            parts = [
                generator.choice(fills) if generator.random() < 0.3 else generator.randbytes(4) for _ in range(words)
            ]
        else:
            parts = [generator.choice(fills)] * generator.randint(2, 40)
        made.append(replace(payload, data=b"".join(parts)))
    return replace(stream, payloads=tuple(made))


def decode_whatever(coder: LearnedCoder, stream: StreamFile) -> None:
    """With the checksum of whatever symbols its payloads give, which an attacker would write."""
    try:
        coder.decode_stream(stream)
    except StreamError as error:
        found = re.search(r"symbols: required .* found ([0-9a-f]{8})", str(error))
        if found is None:
            raise
        coder.decode_stream(replace(stream, symbols_crc=int(found[1], 16)))


def attempt(subject: Subject, generator: random.Random, number: int) -> str:
    """One wrong file → what became of it. Raises what no file may raise."""
    stream, data, pyramid = generator.choice(subject.originals)
    if number % 2:
        decode_whatever(subject.coder, other_payloads(stream, generator))
        return "other symbols decoded"
    wrong = mutated(data, generator)
    taken = read(wrong)
    assert write(taken) == wrong, f"two files for the same contents: {wrong.hex()}"
    subject.coder.check(taken)
    if number % 4 == 0:
        decode_whatever(subject.coder, taken)
        return "other symbols decoded"
    received = subject.coder.decode_stream(taken)
    if replace(taken, payloads=stream.payloads) == stream:  # only payloads may have changed
        same = all(torch.equal(received.pyramid[name], level) for name, level in pyramid.items())
        assert same, f"decoded to something else: {wrong.hex()}"
        return "decoded rightly"
    return "another header decoded"


def attempts(count: int, seed: int, seconds: float | None) -> Iterator[tuple[int, random.Random]]:
    """A generator for each, which depends on the seed and the number alone."""
    began, number = time.monotonic(), 0
    while number < count if seconds is None else time.monotonic() - began < seconds:
        yield number, random.Random(f"{seed} {number}")
        number += 1


def main(count: int, seed: int, seconds: float | None = None) -> None:
    each = subjects()
    results = {name: Counter[str]() for name in each}
    slowest, before, now = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, -1
    try:
        for now, generator in attempts(count, seed, seconds):
            name = list(each)[now % len(each)]
            faulthandler.dump_traceback_later(HANGS, exit=True)
            start = time.process_time()
            try:
                results[name][attempt(each[name], generator, now // len(each))] += 1
            except FpnkitError as error:
                results[name]["refused" if "\n" not in str(error) else "refused in several lines"] += 1
            slowest = max(slowest, time.process_time() - start)
    except BaseException:
        print(f"file {now} of seed {seed}", file=sys.stderr)
        raise
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"results": results, "kilobytes": grown, "slowest_seconds": slowest}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
