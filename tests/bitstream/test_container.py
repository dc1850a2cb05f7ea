import random
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.container import FilePayload, StreamFile, attributed, of_each_level, read, read_file, write
from fpnkit.errors import StreamError
from fpnkit.geometry import ImageGeometry
from tests.support import ROOT
from tests.support.mutations import mutated
from tests.support.raw_stream import SHARED, STREAM, Raw, resealed, varint


def message(data: bytes) -> str:
    with pytest.raises(StreamError) as error:
        read(data)
    return str(error.value)


def test_the_file_is_what_the_table_says() -> None:
    assert write(STREAM) == Raw().bytes()
    assert read(Raw().bytes()) == STREAM


def test_shared_payloads_and_a_quality_take_version_2() -> None:
    assert write(SHARED) == Raw(version=2).bytes()
    assert read(Raw(version=2).bytes()) == SHARED


def test_the_first_version_is_written_wherever_it_suffices() -> None:
    assert [write(replace(STREAM, quality=quality))[3] for quality in (None, 0.0)] == [1, 2]
    named = (*STREAM.payloads[:2], replace(STREAM.payloads[2], name="y"))
    backward = STREAM.payloads[::-1]
    fewer = STREAM.payloads[:2]
    assert [write(replace(STREAM, payloads=payloads))[3] for payloads in (named, backward, fewer)] == [2, 2, 2]


def test_bits_of_a_level_are_those_of_its_own_payloads_and_the_rest_is_shared() -> None:
    parts = [(("p3", "p4"), 100), (("p3",), 10), (("p3",), 5), (("p3", "p4"), 1), (("p5",), 0)]
    assert attributed(parts) == {"shared": 101, "p3": 15, "p5": 0}


def test_header_and_checks_take_36_bytes_for_nanodet_and_at_most_40_for_four_levels_of_a_640_x_480_image() -> None:
    assert STREAM.header_bytes == 36
    geometry = ImageGeometry((480, 640), (800, 1066), (800, 1088), (0, 0))
    sizes = tuple((-(-800 // s), -(-1088 // s)) for s in (4, 8, 16, 32))
    payloads = of_each_level(bytes(20_000), bytes(12_000), bytes(4000), bytes(1000))
    four = StreamFile("factorized", "00000000", geometry, sizes, payloads, 0)
    assert four.header_bytes == len(write(four)) - four.payload_bytes == 40
    smaller = replace(four, payloads=(FilePayload(bytes(16_000), (0,)), *payloads[1:]))
    assert smaller.header_bytes == 39


sides = st.integers(1, 8192)
small = st.integers(0, 300)


@st.composite
def streams(draw: st.DrawFn) -> StreamFile:
    content, offset = draw(st.tuples(sides, sides)), draw(st.tuples(small, small))
    border = draw(st.tuples(small, small))
    canvas = tuple(min(8192, content[i] + offset[i] + border[i]) for i in range(2))
    content = tuple(canvas[i] - min(canvas[i] - 1, offset[i] + border[i]) for i in range(2))
    offset = tuple(min(offset[i], canvas[i] - content[i]) for i in range(2))
    levels = draw(st.integers(1, 15))
    halved = st.integers(0, 16).map(lambda k: (-(-canvas[0] // 2**k), -(-canvas[1] // 2**k)))
    free = st.tuples(st.integers(1, canvas[0]), st.integers(1, canvas[1]))
    served = st.sets(st.integers(0, levels - 1), min_size=1).map(lambda found: tuple(sorted(found)))
    named = st.builds(FilePayload, st.binary(max_size=200), served, st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True))
    own = st.builds(FilePayload, st.binary(max_size=200), st.tuples(st.integers(0, levels - 1)))
    payloads = st.lists(named | own, min_size=1, max_size=5, unique_by=lambda each: each.name or each.levels)
    plain = st.lists(st.binary(max_size=200), min_size=levels, max_size=levels).map(lambda d: of_each_level(*d))
    return StreamFile(
        "factorized",
        draw(st.binary(min_size=4, max_size=4)).hex(),
        ImageGeometry(draw(st.tuples(st.integers(1, 65535), st.integers(1, 65535))), content, canvas, offset),
        tuple(draw(st.one_of(halved, free)) for _ in range(levels)),
        tuple(draw(plain | payloads)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.none() | st.integers(0, 1_000_000).map(lambda thousandths: thousandths / 1000)),
    )


@given(streams())
def test_what_is_written_is_read_and_written_the_same(stream: StreamFile) -> None:
    data = write(stream)
    assert read(data) == stream
    assert write(read(data)) == data


def fuzz(count: int, seed: int) -> None:
    generator = random.Random(seed)
    originals = [Raw().bytes(), Raw(payloads=b"", lengths=(0, 0)).bytes(), Raw(border=(41, 7)).bytes()]
    originals += [Raw(version=2).bytes(), Raw(version=2, quality=b"\x00", payloads=b"", lengths=(0, 0)).bytes()]
    accepted, messages = 0, set()
    for _ in range(count):
        data = mutated(generator.choice(originals), generator)
        try:
            stream = read(data)
        except StreamError as error:
            messages.add(str(error))
        else:
            accepted += 1
            assert write(stream) == data
    assert max(map(len, messages)) < 300
    assert accepted > count / 20  # those whose checksum was made to fit and whose fields are possible


def test_thousands_of_wrong_files_are_refused_or_mean_exactly_one_thing() -> None:
    fuzz(8000, seed=0)


@pytest.mark.slow
def test_a_hundred_thousand_wrong_files_are_refused_or_mean_exactly_one_thing() -> None:
    fuzz(100_000, seed=1)


def test_every_single_flipped_bit_and_every_truncation_is_noticed() -> None:
    data = Raw(payloads=b"0123456789", lengths=(4, 4)).bytes()
    for bit in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        message(bytes(wrong))
    for length in range(len(data)):
        message(data[:length])


def test_random_bytes_are_refused() -> None:
    generator = random.Random(2)
    for _ in range(1000):
        message(generator.randbytes(generator.randrange(200)))


AN_IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "stream: required a coded pyramid, found an empty file"),
        (AN_IMAGE, "start: required the bytes b'FPN' of a coded pyramid, found b'\\x89PN'"),
        (b"FP", "stream: required at least 26 bytes, found 2; the file is cut off"),
        (Raw().bytes()[:25], "stream: required at least 26 bytes, found 25; the file is cut off"),
        (Raw(version=3).bytes(), "version: required 1 to 2, found 3; it was written by a newer fpnkit"),
        (Raw(version=0).bytes(), "version: required 1 to 2, found 0"),
        (
            Raw(version=2, quality=b"\x00", about=b"\x03\x01\x00\x02\x00\x04\x00").bytes(),
            "version: required 1 for what the file holds, found 2",
        ),
        (
            Raw(version=2, quality=varint(1_000_002)).bytes(),
            "quality: required 0 to 1000 in steps of 0.001, found 1000.001",
        ),
        (Raw(version=2, about=b"\x00").bytes(), "payloads: required 1 to 255, found 0"),
        (
            Raw(version=2, about=b"\x03" + b"\x07\x01y" + b"\x05\x02z2" + b"\x02\x00").bytes(),
            "payload 0: required levels as a number below 7, 0 for all, found 7",
        ),
        (
            Raw(version=2, about=b"\x03" + b"\x00\x01y" + b"\x05\x00" + b"\x02\x00").bytes(),
            "payload 1: required a name of a to z, 0 to 9 and _, at most 32, or none for one level or the only "
            "payload; found '' for 0, 2",
        ),
        (
            Raw(version=2, about=b"\x03" + b"\x00\x01Y" + b"\x05\x02z2" + b"\x02\x00").bytes(),
            "payload 0: required a name of a to z, 0 to 9 and _, at most 32, or none for one level or the only "
            "payload; found 'Y' for 0, 1, 2",
        ),
        (
            Raw(version=2, about=b"\x03" + b"\x00\x01y" + b"\x05\x01y" + b"\x02\x00").bytes(),
            "payload 1: required another name or level than those before, found y",
        ),
        (
            Raw(codec_and_levels=varint(16 * 9 + 3)).bytes(),
            "codec: required one of factorized (1), fused (2), linear (3), found number 9; was it written by a "
            "newer fpnkit?",
        ),
        (Raw(codec_and_levels=varint(16)).bytes(), "levels: required 1 to 15, found 0"),
        (
            Raw(codec_and_levels=b"\x93\x00").bytes(),
            "stream: required a number in as few bytes as it needs, found 2",
        ),
        (
            Raw(codec_and_levels=b"\xff" * 6).bytes(),
            "stream: required a number of at most 5 bytes, found a longer one",
        ),
        (Raw(original=(0, 640)).bytes(), "original: required sides from 1 to 65535, found 0 x 640"),
        (Raw(original=(480, 65536)).bytes(), "original: required sides from 1 to 65535, found 480 x 65536"),
        (Raw(content=(240, 0)).bytes(), "content: required sides from 1 to 65535, found 240 x 0"),
        (Raw(border=(65536, 0)).bytes(), "canvas: required sides from 1 to 65535, found 65816 x 320"),
        (
            Raw(content=(9000, 9000), levels=(b"\x03", b"\x04", b"\x05")).bytes(),
            "canvas: required at most 67108864 pixels, found 9080 x 9000",
        ),
        (
            Raw(levels=(b"\x11", b"\x04", b"\x05")).bytes(),
            "level 0: required an exponent from 0 to 16 or 255, found 17",
        ),
        (
            Raw(levels=(b"\x03", b"\xff" + varint(321) + varint(1), b"\x05")).bytes(),
            "level 1: required 1 x 1 to the canvas's 320 x 320, found 321 x 1",
        ),
        (
            Raw(levels=(b"\x03", b"\xff\x00\x01", b"\x05")).bytes(),
            "level 1: required 1 x 1 to the canvas's 320 x 320, found 0 x 1",
        ),
        (
            Raw(levels=(b"\x03", b"\xff\x14\x14", b"\x05")).bytes(),
            "level 1: required its size in the shortest form, 4; found 255",
        ),
        (
            Raw(levels=(b"\x03", b"\x0a", b"\x05")).bytes(),
            "level 1: required its size in the shortest form, 9; found 10",
        ),
        (Raw(lengths=(2928, 1800)).bytes(), "stream: required 1800 more bytes, found 1704; the file is cut off"),
        (
            Raw(lengths=(2**32, 0)).bytes(),
            "stream: required 4294967296 more bytes, found 4632; the file is cut off",
        ),
    ],
)
def test_whole_messages(data: bytes, expected: str) -> None:
    assert message(data) == expected


def damaged(data: bytes) -> str:
    required, found = zlib.crc32(data[:-4]), int.from_bytes(data[-4:], "little")
    return (
        f"checksum: required {required:08x} for these {len(data)} bytes, found {found:08x}; "
        "the file is damaged, cut off, or has something at its end"
    )


@pytest.mark.parametrize(
    "change",
    [lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:60] + b"!" + data[61:]],
    ids=["cut off", "trailing", "changed"],
)
def test_a_damaged_file_is_named_as_such(change: object) -> None:
    data = change(Raw().bytes())  # type: ignore[operator]
    assert message(data) == damaged(data)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"codec": "other"}, "codec: required one of factorized (1), fused (2), linear (3), found other"),
        ({"sizes": (), "payloads": ()}, "levels: required 1 to 15, found 0"),
        ({"payloads": ()}, "payloads: required 1 to 255, found 0"),
        (
            {"payloads": (FilePayload(b"", (2, 1), "y"),)},
            "payload 0: required levels from 0 to 2 in their order, found 2, 1",
        ),
        (
            {"payloads": (FilePayload(b"", (), "y"),)},
            "payload 0: required levels from 0 to 2 in their order, found none",
        ),
        ({"quality": 0.0004}, "quality: required 0 to 1000 in steps of 0.001, found 0.0004"),
        ({"quality": float("nan")}, "quality: required 0 to 1000 in steps of 0.001, found nan"),
        (
            {"geometry": ImageGeometry((1, 1), (240, 320), (320, 320), (81, 0))},
            "content: required inside the canvas of 320 x 320, found 240 x 320 at 81, 0",
        ),
    ],
)
def test_what_could_not_be_read_is_not_written(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(StreamError) as error:
        write(replace(STREAM, **changes))  # type: ignore[arg-type]
    assert str(error.value) == expected


def test_a_file_is_read_from_disk_and_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.fpn"
    path.write_bytes(write(STREAM))
    assert read_file(path) == STREAM
    path.write_bytes(b"")
    for wrong, expected in (
        (path, "stream: required a coded pyramid, found an empty file"),
        (tmp_path, "required a coded pyramid, found no file"),
        (tmp_path / "none.fpn", "required a coded pyramid, found nothing"),
        (Path("/dev/zero"), "required a coded pyramid, found no file"),
    ):
        with pytest.raises(StreamError) as error:
            read_file(wrong)
        assert str(error.value) == f"{wrong}: {expected}"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.fpn"
    with path.open("wb") as file:
        file.truncate(2**30 + 1)  # a hole: it takes no room on the disk
    with pytest.raises(StreamError) as error:
        read_file(path)
    assert str(error.value) == f"{path}: size: required at most 1073741824 bytes, found 1073741825"


def test_a_lying_header_allocates_nothing() -> None:
    code = """
import resource, sys
from tests.support.raw_stream import Raw
from fpnkit.container import read
from fpnkit.errors import StreamError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for raw in (Raw(lengths=(2**34, 2**34)), Raw(content=(8112, 8192)), Raw(content=(2**34, 2**34)), Raw(lengths=(0, 0))):
    for levels in (raw.levels, (b"\\x00", b"\\x00", b"\\x00")):
        try:
            read(Raw(**{**vars(raw), "levels": levels}).bytes())
        except StreamError:
            pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, "torch" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kilobytes, torch = done.stdout.split()
    assert int(kilobytes) < 4000
    assert torch == "False"


def test_resealing_makes_a_changed_payload_pass_here_so_that_fuzzing_gets_further() -> None:
    data = Raw().bytes()
    changed = resealed(data[:60] + b"!" + data[61:])
    assert read(changed) != STREAM
