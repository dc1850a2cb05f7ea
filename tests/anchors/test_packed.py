import contextlib
import functools
import math
import tracemalloc
from collections.abc import Callable

import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from fpnkit.anchors.catalogue import ANCHORS, Anchor
from fpnkit.anchors.fields import with_length
from fpnkit.anchors.packed import HevcFeatures, VvcFeatures, ZstdFeatures
from fpnkit.anchors.reduced import ReducedFeatures
from fpnkit.codecs.coder import Coder, CoderInput
from fpnkit.errors import PyramidError, StreamError
from fpnkit.pyramid import Pyramid, PyramidSpec
from tests.support.anchor_inputs import (
    DETECTOR_FIT,
    SPEC,
    as_features,
    detector_source,
    needs_av,
    needs_vvc,
    random_source,
    turned,
    with_skips,
)

SIZES = {"p3": (5, 9), "p5": (2, 3), "p5b": (1, 1)}
FEATURES = [anchor for anchor in ANCHORS if "features" in anchor.families]

Kind = Callable[[PyramidSpec, int], Coder]


def reduced(spec: PyramidSpec, quality: int) -> Coder:
    return ReducedFeatures(spec, quality, turned(spec))


VIDEO = [pytest.param(HevcFeatures, marks=needs_av), pytest.param(VvcFeatures, marks=needs_vvc)]
packed = pytest.mark.parametrize("kind", [ZstdFeatures, *VIDEO])
every_kind = pytest.mark.parametrize("kind", [ZstdFeatures, *VIDEO, pytest.param(reduced, marks=needs_vvc)])
video = pytest.mark.parametrize("kind", VIDEO)


def snr_db(source: CoderInput, decoded: Pyramid) -> float:
    """Mean over levels."""
    ratios = [level.var() / (decoded[name] - level).square().mean() for name, level in source.pyramid.items()]
    return sum(10 * math.log10(ratio) for ratio in ratios) / len(ratios)


@every_kind
def test_shapes_and_geometry_come_back_from_the_bytes_and_the_levels_names(kind: Kind) -> None:
    source = random_source(SIZES)
    received = as_features(kind(SPEC, 5).decode(kind(SPEC, 6).encode(source).data))
    assert received.geometry == source.geometry
    assert received.pyramid.sizes == SIZES
    SPEC.check(received.pyramid)
    assert all(level.dtype == torch.float32 for level in received.pyramid.values())


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_quantized_values_are_within_half_a_step(bits: int) -> None:
    source = random_source({"p3": (40, 33), "p5": (10, 9), "p5b": (10, 9)})
    received = as_features(ZstdFeatures(SPEC, 1).decode(ZstdFeatures(SPEC, bits).encode(source).data))
    for name, level in source.pyramid.items():
        step = (level.max() - level.min()) / (2**bits - 1)
        error = (received.pyramid[name] - level).abs().max()
        assert error <= step / 2 * 1.0001
        assert error > step / 4  # of so many values some lie in the middle


@video
def test_as_video_a_fine_quantizer_keeps_nearly_all(kind: Kind) -> None:
    spec, source = detector_source()
    received = as_features(kind(spec, 4).decode(kind(spec, 4).encode(source).data))
    assert snr_db(source, received.pyramid) > 35


@pytest.mark.parametrize("anchor", with_skips(FEATURES))
def test_along_the_default_qualities_bytes_and_fidelity_rise(anchor: Anchor) -> None:
    spec, source = detector_source()
    sizes, fidelity = [], []
    for quality in anchor.qualities:
        data = anchor.build(quality, spec, DETECTOR_FIT).encode(source).data
        sizes.append(len(data))
        fidelity.append(snr_db(source, as_features(anchor.build(quality, spec, DETECTOR_FIT).decode(data)).pyramid))
    assert len(anchor.qualities) >= 6
    assert sizes == sorted(set(sizes))
    assert fidelity == sorted(set(fidelity))
    assert sizes[-1] > 5 * sizes[0]


@every_kind
def test_encoding_is_deterministic(kind: Kind) -> None:
    source = random_source(SIZES)
    assert kind(SPEC, 6).encode(source) == kind(SPEC, 6).encode(source)


@packed
def test_a_level_of_one_value_comes_back_exactly(kind: Kind) -> None:
    source = random_source(SIZES)
    levels = {**source.pyramid, "p5": torch.full_like(source.pyramid["p5"], 0.1)}
    flat = CoderInput(source.image, Pyramid(levels), source.geometry)
    received = as_features(kind(SPEC, 4).decode(kind(SPEC, 4).encode(flat).data))
    assert torch.equal(received.pyramid["p5"], levels["p5"])


def test_zstandard_tells_the_bits_of_each_level_and_the_rest_is_a_short_header() -> None:
    coded = ZstdFeatures(SPEC, 8).encode(random_source({"p3": (40, 33), "p5": (10, 9), "p5b": (10, 9)}))
    assert list(coded.bits_level) == ["p3", "p5", "p5b"]
    assert coded.bits_level["p3"] > 4 * coded.bits_level["p5"] > 0  # 6600 and 630 values
    header = len(coded.data) - sum(coded.bits_level.values()) / 8
    # bits 1; geometry 9, as 333 takes two bytes; sizes 6; ranges 24; lengths of at most 2 each
    assert 1 + 9 + 6 + 24 + 3 <= header <= 1 + 9 + 6 + 24 + 6


@video
def test_as_video_no_bits_are_told_apart_by_level(kind: Kind) -> None:
    assert kind(SPEC, 20).encode(random_source(SIZES)).bits_level == {}


@every_kind
def test_a_pyramid_of_another_detector_is_refused(kind: Kind) -> None:
    spec, source = detector_source()
    with pytest.raises(PyramidError) as caught:
        kind(SPEC, 6).encode(source)
    found = ", ".join(f"{level.name} {level.channels} channels" for level in spec.levels)
    assert str(caught.value) == f"pyramid: required {SPEC}; found {found}"


@every_kind
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(kind: Kind, value: float) -> None:
    source = random_source(SIZES)
    source.pyramid["p5"][0, 0, 0, 0] = value
    with pytest.raises(PyramidError) as caught:
        kind(SPEC, 6).encode(source)
    assert str(caught.value) == "level p5: required finite values, found NaN or infinity"


def of_zstd(start: bytes = b"\x08", place: bytes = b"\x02\x02\x01\x01\x01\x01\x00\x00") -> bytes:
    """Up to the levels' sizes."""
    return start + place


RANGE = b"\0\0\0\0\0\0\x80\x3f"  # 0 to 1
LEVELS = b"\x01\x01" * 3 + RANGE * 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stream: required 1 more bytes, found 0; the file is cut off"),
        (of_zstd(b"\x09"), "stream: required 1 to 8 bits a value, found 9"),
        (of_zstd(place=b"\x00\x02"), "stream: required sides from 1 to 65535, found 0 x 2"),
        (
            of_zstd(place=b"\x02\x02\x01\x01\x01\x01\x00\x01"),
            "content: required inside the canvas of 1 x 1, found 1 x 1 at 0, 1",
        ),
        (
            of_zstd() + b"\x01\x01" * 3 + b"\0\0\x80\x3f\0\0\0\0" + RANGE * 2,
            "level p3: required a lowest and a highest value, found 1 and 0",
        ),
        (
            of_zstd() + b"\x01\x01" * 3 + b"\0\0\xc0\x7f\0\0\0\0" + RANGE * 2,
            "level p3: required a lowest and a highest value, found nan and 0",
        ),
        (of_zstd() + LEVELS + b"\x04abc", "stream: required 4 more bytes, found 3; the file is cut off"),
    ],
)
def test_what_is_no_coded_pyramid_is_one_clear_error(data: bytes, message: str) -> None:
    with pytest.raises(StreamError) as caught:
        ZstdFeatures(SPEC, 8).decode(data)
    assert str(caught.value) == message


def test_a_level_of_another_size_than_promised_is_refused() -> None:
    whole = ZstdFeatures(SPEC, 8).encode(random_source(SIZES)).data
    sizes = whole.index(bytes([5, 9, 2, 3, 1, 1]))
    for height, found in ((4, "181 or more"), (6, "225")):
        changed = whole[:sizes] + bytes([height]) + whole[sizes + 1 :]
        with pytest.raises(StreamError) as caught:
            ZstdFeatures(SPEC, 8).decode(changed)
        expected = f"level p3: required {5 * height * 9} values, found "
        assert str(caught.value).startswith(expected)
        count = str(caught.value).removeprefix(expected)
        assert count == (found if height == 6 else "225 or more")


def test_a_payload_that_would_fill_the_memory_is_not_unpacked() -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**28))
    assert len(bomb) < 2**16
    tracemalloc.start()
    with pytest.raises(StreamError) as caught:
        ZstdFeatures(SPEC, 8).decode(of_zstd() + LEVELS + with_length(bomb) * 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value).startswith("level p3: required 5 values, found ")
    assert peak < 2**24


@functools.cache
def coded(kind: Kind) -> bytes:
    return kind(SPEC, 6).encode(random_source(SIZES)).data


@every_kind
@limits(max_examples=30)
@given(st.data())
def test_a_broken_file_decodes_to_a_pyramid_or_is_a_stream_error(kind: Kind, data: st.DataObject) -> None:
    broken = bytearray(coded(kind)[: data.draw(st.integers(0, len(coded(kind))))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(broken) - 1)), max_size=4)):
        broken[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
    with contextlib.suppress(StreamError):
        SPEC.check(as_features(kind(SPEC, 6).decode(bytes(broken))).pyramid)


@every_kind
def test_every_cut_is_noticed(kind: Kind) -> None:
    whole = coded(kind)
    for length in range(0, len(whole), 3):
        with pytest.raises(StreamError):
            kind(SPEC, 6).decode(whole[:length])


@every_kind
def test_what_follows_the_end_is_noticed(kind: Kind) -> None:
    with pytest.raises(StreamError) as caught:
        kind(SPEC, 6).decode(coded(kind) + b"ab")
    assert str(caught.value) == "stream: required its end, found 2 more bytes"
