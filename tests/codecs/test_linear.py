import contextlib
import copy
import itertools
import math
import os
import random
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fpnkit.codecs.base import Start, Streams
from fpnkit.codecs.saved import model_hash
from fpnkit.config.schema import CodecTraining, LinearCodec
from fpnkit.container import SHARED as PAYLOAD
from fpnkit.errors import PyramidError, StreamError, UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from fpnkit.training.optim import CodecOptimizers
from tests.support import ROOT
from tests.support.linear_codec import SPEC, fresh, geometry, pyramid, shared, started


def same(first: Pyramid, second: Pyramid) -> bool:
    return first.sizes == second.sizes and all(torch.equal(first[name], second[name]) for name in first)


def coded(height: int = 160, width: int = 130, quality: float = 1.0, seed: int = 50) -> Streams:
    return shared().encode(pyramid(height, width, seed), geometry(height, width), quality)


def reconstructed(original: Pyramid, place: ImageGeometry, quality: float) -> Pyramid:
    with torch.no_grad():
        return shared()(original, [place], torch.tensor([quality])).reconstruction


@settings(max_examples=25)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    quality=st.integers(0, 2000),
    scale=st.sampled_from([0.0, 1.0, 40.0]),
)
def test_decoding_gives_exactly_the_forward_path_at_every_size_and_quality(
    height: int, width: int, quality: int, scale: float
) -> None:
    original, place = pyramid(height, width, 7, scale), geometry(height, width)
    decoded = shared().decode(shared().encode(original, place, quality / 1000))
    assert same(decoded, reconstructed(original, place, quality / 1000))


def test_batch_and_threads_change_nothing() -> None:
    images = [pyramid(160, 130, seed) for seed in (50, 51, 52)]
    place, qualities = geometry(160, 130), [0.0, 1.7, 2.0]
    together = Pyramid({name: torch.cat([each[name] for each in images]) for name in SPEC.names})
    before = torch.get_num_threads()
    try:
        alone = [shared().encode(each, place, q) for each, q in zip(images, qualities, strict=True)]
        torch.set_num_threads(2)
        backwards = [shared().encode(images[i], place, qualities[i]) for i in (2, 1, 0)][::-1]
        with torch.no_grad():
            output = shared()(together, [place] * 3, torch.tensor(qualities))
        assert backwards == alone
        for index, streams in enumerate(alone):
            one = Pyramid({name: output.reconstruction[name][index : index + 1] for name in SPEC.names})
            assert same(shared().decode(streams), one)
    finally:
        torch.set_num_threads(before)


def test_more_quality_takes_more_bits_and_loses_less() -> None:
    original, place = pyramid(640, 640, 50), geometry(640, 640)
    bits, errors = [], []
    for quality in (0.0, 0.4, 0.8, 1.2, 1.6, 2.0):
        streams = shared().encode(original, place, quality)
        decoded = shared().decode(streams)
        bits.append(len(streams.payloads[PAYLOAD].data))
        errors.append(sum((decoded[name] - original[name]).square().mean().item() for name in SPEC.names))
    assert bits == sorted(set(bits))
    assert errors == sorted(set(errors), reverse=True)


def test_the_payload_is_within_two_percent_and_8_bytes_of_the_estimate() -> None:
    for quality in (0.0, 2.0):
        streams = coded(640, 640, quality)
        found, estimate = len(streams.payloads[PAYLOAD].data), streams.bits_estimated[PAYLOAD] / 8
        assert abs(found - estimate) <= 0.02 * estimate + 8


def test_what_repeats_from_cell_to_cell_is_cheaper_than_what_does_not() -> None:
    original = pyramid(320, 320, 50)
    flat = Pyramid({name: level.mean((2, 3), keepdim=True).expand_as(level) for name, level in original.items()})
    sizes = [len(shared().encode(each, geometry(320, 320), 2.0).payloads[PAYLOAD].data) for each in (original, flat)]
    assert sizes[1] < 0.5 * sizes[0]


def test_padding_costs_nothing_and_is_decoded_as_its_mean() -> None:
    whole, part = geometry(320, 320), ImageGeometry((160, 320), (160, 320), (320, 320))
    original = pyramid(320, 320, 50)
    streams = [shared().encode(original, place, 1.0) for place in (whole, part)]
    full, half = (len(each.payloads[PAYLOAD].data) for each in streams)
    assert half < 0.65 * full
    changed = Pyramid({name: level.clone() for name, level in original.items()})
    for level in changed.values():
        level[:, :, level.shape[2] // 2 :] += 5
    assert shared().encode(changed, part, 1.0).payloads == streams[1].payloads
    decoded = shared().decode(streams[1])
    assert torch.equal(decoded["p5"][:, :, 5:], decoded["p5"][:, :, 5:6, :1].expand(-1, -1, 5, 10))


def test_a_loaded_codec_decodes_to_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    streams = coded()
    file = tmp_path / "all.pt"
    torch.save({"state": shared().state_dict(), "streams": streams}, file)
    program = (
        "import sys, torch, zlib\n"
        "from tests.support.linear_codec import fresh\n"
        "torch.set_num_threads(2)\n"
        "content = torch.load(sys.argv[1], weights_only=False)\n"
        "codec = fresh()\n"
        "codec.load_state_dict(content['state'])\n"
        "decoded = codec.decode(content['streams'])\n"
        "print(*(zlib.crc32(decoded[name].numpy().tobytes()) for name in sorted(decoded)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(file)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    decoded = shared().decode(streams)
    assert done.stdout.split() == [str(zlib.crc32(decoded[name].numpy().tobytes())) for name in sorted(decoded)]


def test_the_same_statistics_give_the_same_model() -> None:
    hashes = []
    for _ in range(2):
        torch.manual_seed(0)  # the subspace iteration of the KLT starts at random
        hashes.append(model_hash(started().state_dict()))
    assert hashes[0] == hashes[1]


def test_updating_tables_changes_nothing() -> None:
    codec = copy.deepcopy(shared())
    codec.update_tables()
    assert model_hash(codec.state_dict()) == model_hash(shared().state_dict())


def test_tables_are_those_of_the_coder() -> None:
    tables = shared().entropy.histograms.tables()
    for row, length, offset in zip(tables.cdf, tables.length, tables.offset, strict=True):
        assert (row[0], row[-1], len(row)) == (0, 65536, length)
        assert all(low < high for low, high in itertools.pairwise(row))
        assert offset == -(length - 3) // 2


def test_there_is_nothing_to_optimize() -> None:
    assert list(shared().parameters()) == []
    optimizers = CodecOptimizers.of(shared(), CodecTraining(epochs=1))
    assert (optimizers.network, optimizers.quantiles, optimizers.network_parameters) == (None, None, [])
    assert optimizers.state_dict() == {}


def test_coding_before_the_start_is_refused() -> None:
    message = "codec: required coding tables, found none; they are made when training starts"
    for use in (
        lambda: fresh().encode(pyramid(64, 64), geometry(64, 64), 1.0),
        lambda: fresh().decode(coded()),
    ):
        with pytest.raises(UserError) as error:
            use()
        assert str(error.value) == message


def test_too_few_cells_are_refused() -> None:
    codec = fresh(LinearCodec(kind="linear", components=100, rates=3))  # more than the 54 values of a cell
    images = [(pyramid(64, 64), geometry(64, 64))]
    curvature = {level.name: torch.eye(level.channels) for level in SPEC.levels}
    with pytest.raises(PyramidError) as error:
        codec.start(Start(lambda: images, curvature, (1.0, 2.0, 3.0)))
    assert str(error.value) == (
        "training.calibration_images: required at least 54 cells of stride 32 that are not padding, found 4"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_features_that_cannot_be_coded_are_refused(value: float) -> None:
    broken = pyramid(64, 64)
    broken["p3"][0, 0, 0, 0] = value
    with pytest.raises(PyramidError, match="required features whose symbols lie within 16384, found"):
        shared().encode(broken, geometry(64, 64), 1.0)


def test_streams_with_other_payloads_or_qualities_are_refused() -> None:
    streams = coded()
    payload = streams.payloads[PAYLOAD]
    for changed, message in (
        (replace(streams, payloads={"y": payload}), "payloads: required shared for all levels, found y for p3 and"),
        (replace(streams, quality=None), "quality: required a number from 0 to 2, found none"),
        (replace(streams, quality=2.001), "quality: required a number from 0 to 2, found 2.001"),
        (replace(streams, symbols_crc=streams.symbols_crc ^ 1), "symbols: required the checksum"),
        (replace(streams, quality=0.0), "symbols: required the checksum"),
    ):
        with pytest.raises(StreamError) as error:
            shared().decode(changed)
        assert str(error.value).startswith(message)


def test_payloads_of_anything_are_refused() -> None:
    """A crash of the entropy decoder would end this process."""
    streams, generator = coded(), random.Random(0)
    payload, decoded = streams.payloads[PAYLOAD], shared().decode(streams)
    for number in range(300):
        data = bytearray(payload.data)
        if number % 3 == 0:
            data = bytearray(generator.choice([b"\xff", b"\0", generator.randbytes(1)]) * len(data))
        elif number % 3 == 1:
            data = bytearray(generator.randbytes(4 * generator.randint(0, 60)))
        else:
            for _ in range(generator.randint(1, 4)):
                data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        changed = replace(streams, payloads={PAYLOAD: replace(payload, data=bytes(data))})
        with contextlib.suppress(StreamError):
            assert same(shared().decode(changed), decoded)  # what changed was of no use


def test_the_checksum_is_that_of_all_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder goes on to the end with whatever symbols it finds."""
    streams = coded()
    payload = streams.payloads[PAYLOAD]
    found: list[Tensor] = []

    def crc(symbols: Tensor, before: int = 0) -> int:
        found.append(symbols)
        return streams.symbols_crc

    monkeypatch.setattr("fpnkit.codecs.linear.symbols_crc", crc)
    wild = replace(streams, payloads={PAYLOAD: replace(payload, data=b"\xff" * len(payload.data))})
    decoded = shared().decode(wild)
    assert all(level.isfinite().all() for level in decoded.values())
    assert found[0].abs().max() <= 2**14
