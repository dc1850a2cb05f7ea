"""The fused codec: what is decoded is what the quantized forward path gives, whatever the options."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fpnkit.codecs import rans
from fpnkit.codecs.base import Payload, Start, Streams
from fpnkit.codecs.fused import FusedPyramidCodec
from fpnkit.errors import PyramidError, StreamError, UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from tests.support import fused

OPTIONS: dict[str, dict[str, Any]] = {
    "small cells": {"stride": 16},
    "small cells apart": {"stride": 8, "apart": True},
    "as it comes": {},
    "levels apart": {"apart": True},
    "two levels follow from the others": {"levels": ["p4", "p5"]},
    "one slice": {"slices": 1},
    "no checkerboard": {"checkerboard": False},
    "nothing but the KLT": {"blocks": 0, "context_blocks": 0, "slices": 1, "checkerboard": False},
    "the plain KLT": {"head_metric": False},
    "one rate": {"rates": 1},
}


@pytest.fixture(scope="module")
def codec() -> FusedPyramidCodec:
    return fused.codec()


def equal(a: Pyramid, b: Pyramid) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_decoded_pyramid_is_the_quantized_forward_path(options: dict[str, Any]) -> None:
    codec = fused.codec(**options)
    levels, geometry = fused.pyramid(1), fused.geometry()
    for quality in (0.0, 0.713, 2.0) if codec.qualities else (None,):
        streams = codec.encode(levels, geometry, quality)
        asked = None if quality is None else torch.tensor([quality])
        output = codec(levels, [geometry], asked)
        assert equal(codec.decode(streams), output.reconstruction)
        bits = {name: 8 * len(payload.data) for name, payload in streams.payloads.items()}
        for name, estimate in streams.bits_estimated.items():
            assert output.bits[name].sum().item() == pytest.approx(estimate, rel=1e-5)
            assert abs(bits[name] - estimate) < 0.01 * estimate + 8 * rans.FLUSH_BYTES + 8


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (1, 1), (100, 131), (33, 260)])
def test_any_size(codec: FusedPyramidCodec, size: tuple[int, int]) -> None:
    levels, geometry = fused.pyramid(2, *size), ImageGeometry((50, 70), size, size)
    decoded = codec.decode(codec.encode(levels, geometry, 1.0))
    assert decoded.sizes == levels.sizes
    assert equal(decoded, codec(levels, [geometry], torch.tensor([1.0])).reconstruction)


@torch.no_grad()
def test_one_level_levels_of_one_stride_and_of_one_channel() -> None:
    for spec in (
        PyramidSpec((LevelSpec("p4", 40, 16),)),
        PyramidSpec((LevelSpec("p5", 30, 32), LevelSpec("p5b", 9, 32))),
        PyramidSpec((LevelSpec("p3", 1, 8), LevelSpec("p5", 1, 32))),  # 17 values a cell
    ):
        codec, levels = fused.codec(spec), fused.pyramid(3, spec=spec)
        streams = codec.encode(levels, fused.geometry(), 1.5)
        assert equal(codec.decode(streams), codec(levels, [fused.geometry()], torch.tensor([1.5])).reconstruction)


@torch.no_grad()
def test_rate_rises_and_distortion_falls_with_quality(codec: FusedPyramidCodec) -> None:
    rates, errors = [], []
    for quality in (0.0, 0.5, 1.0, 1.5, 2.0):
        bits = error = 0.0
        for seed in range(4):
            levels = fused.pyramid(seed)
            streams = codec.encode(levels, fused.geometry(), quality)
            decoded = codec.decode(streams)
            bits += sum(streams.bits_estimated.values())
            error += sum((decoded[name] - levels[name]).square().mean().item() for name in levels)
        rates.append(bits)
        errors.append(error)
    assert rates == sorted(rates)
    assert errors == sorted(errors, reverse=True)
    assert rates[-1] > 1.5 * rates[0]
    assert errors[-1] < errors[0]


@torch.no_grad()
def test_order_batch_and_threads_do_not_change_a_symbol(codec: FusedPyramidCodec) -> None:
    geometry, quality = fused.geometry(), 1.25
    alone = [codec.encode(fused.pyramid(seed), geometry, quality) for seed in range(3)]
    again = [codec.encode(fused.pyramid(seed), geometry, quality) for seed in reversed(range(3))][::-1]
    assert [each.payloads for each in alone] == [each.payloads for each in again]
    decoded = [codec.decode(each) for each in alone]
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert all(equal(codec.decode(each), before) for each, before in zip(alone, decoded, strict=True))
    finally:
        torch.set_num_threads(threads)
    part = codec.parts["shared"]
    side = part.side([geometry] * 3, torch.zeros(3, 1, 3, 4), torch.full((3,), quality))
    latents = torch.cat(
        [codec.latents(fused.pyramid(s), [geometry], torch.tensor([quality]))["shared"] for s in range(3)]
    )
    together = part.entropy.quantized(latents, side, part.exact_steps(torch.full((3,), quality), 3))
    for index in range(3):
        steps = part.exact_steps(torch.tensor([quality]), 1)
        single = part.entropy.quantized(latents[index][None], side[index][None], steps)
        assert torch.equal(together.symbols[index], single.symbols[0])
        assert torch.equal(together.index[index], single.index[0])


@torch.no_grad()
def test_a_float32_or_bfloat16_encoder_is_understood(codec: FusedPyramidCodec) -> None:
    """The symbols may differ, what the decoder makes of them may not."""
    levels, geometry = fused.pyramid(5), fused.geometry()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = codec.encode(levels, geometry, 2.0)
    assert rough.payloads != codec.encode(levels, geometry, 2.0).payloads
    decoded = codec.decode(rough)
    assert all(torch.isfinite(level).all() for level in decoded.values())


@torch.no_grad()
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_reads_what_a_cpu_wrote(codec: FusedPyramidCodec) -> None:
    streams = codec.encode(fused.pyramid(1), fused.geometry(), 1.0)
    expected = codec.decode(streams)
    found = fused.codec().to("cuda").decode(streams)  # raises StreamError if one symbol differs
    assert all(torch.allclose(found[name].cpu(), expected[name], atol=1e-3) for name in expected)


@torch.no_grad()
def test_padding_costs_next_to_nothing_once_learned(codec: FusedPyramidCodec) -> None:
    """The entropy model sees what is picture: here only that it makes a difference."""
    levels = fused.pyramid(1)
    whole, part = ImageGeometry((96, 128), (96, 128), (96, 128)), ImageGeometry((96, 128), (40, 50), (96, 128))
    assert codec.encode(levels, whole, 1.0).payloads != codec.encode(levels, part, 1.0).payloads


def test_gradients_reach_every_parameter() -> None:
    for options in ({}, {"apart": True}, {"levels": ["p5"]}):
        codec = fused.codec(**options).train()
        torch.manual_seed(0)
        for part in codec.parts.values():  # whose branch is silent at the start
            torch.nn.init.normal_(part.to_values.weight, std=0.01)
        quality = torch.tensor([0.4, 1.7])
        levels = Pyramid({name: level.expand(2, -1, -1, -1) for name, level in fused.pyramid(1).items()})
        output = codec(levels, [fused.geometry()] * 2, quality)
        error = sum((output.reconstruction[name] - levels[name]).square().mean() for name in levels)
        torch.autograd.backward(error + sum(bits.mean() for bits in output.bits.values()))
        silent = [name for name, each in codec.named_parameters() if each.grad is None or not each.grad.abs().max() > 0]
        assert silent == []
        grouped = {id(each) for group in codec.parameter_groups() for each in group.parameters}
        assert grouped == {id(each) for each in codec.parameters()}


def test_before_training_it_is_the_klt_and_its_inverse() -> None:
    """With steps so small that nothing is lost, all components give the features back."""
    torch.manual_seed(0)
    values = 6 * 16 + 8 * 4 + 8 + 5
    codec = FusedPyramidCodec(fused.settings(latent_channels=values, components=values, rates=1), fused.SPEC)
    curvature = {level.name: torch.eye(level.channels) for level in fused.SPEC.levels}
    codec.start(Start(lambda: [(fused.pyramid(seed), fused.geometry()) for seed in range(20)], curvature, (1e6,)))
    codec.eval().update_quantiles()
    levels = fused.pyramid(50)
    with torch.no_grad():
        found = codec(levels, [fused.geometry()]).reconstruction
    assert all((found[name] - levels[name]).abs().max() < 0.01 for name in levels)


def test_saved_and_loaded_it_codes_the_same(codec: FusedPyramidCodec) -> None:
    file = io.BytesIO()
    torch.save(codec.state_dict(), file)
    file.seek(0)
    other = FusedPyramidCodec(fused.settings(), fused.SPEC)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.eval()
    streams = codec.encode(fused.pyramid(1), fused.geometry(), 0.9)
    assert other.encode(fused.pyramid(1), fused.geometry(), 0.9) == streams
    assert equal(other.decode(streams), codec.decode(streams))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400), st.integers(0, 200))
def test_no_payload_can_crash_the_decoder(foreign: bytes, cut: int) -> None:
    codec = _FUZZED
    streams = codec.encode(fused.pyramid(1, 32, 64), fused.geometry(32, 64), 1.0)
    good = streams.payloads["shared"].data
    for data in (foreign, good[:cut], good[:cut] + foreign, foreign + good):
        if data == good:
            continue
        payloads = {"shared": Payload(data, fused.SPEC.names)}
        broken = Streams(payloads, streams.sizes, streams.symbols_crc, streams.geometry, streams.quality)
        with contextlib.suppress(StreamError):  # bytes that the symbols do not need are not looked at
            assert equal(codec.decode(broken), codec.decode(streams))


_FUZZED = fused.codec(latent_channels=6, components=8)


def test_what_cannot_be_coded_or_decoded_is_refused(codec: FusedPyramidCodec) -> None:
    levels, geometry = fused.pyramid(1), fused.geometry()
    with pytest.raises(UserError, match=r"^quality: required a number from 0 to 2, found 2.5$"):
        codec.encode(levels, geometry, 2.5)
    with pytest.raises(UserError, match=r"^quality: required a number from 0 to 2, found none$"):
        codec.encode(levels, geometry)
    with pytest.raises(UserError, match=r"^quality: required none, the codec has one rate; found 1$"):
        fused.codec(rates=1).encode(levels, geometry, 1.0)
    for bad in (float("nan"), float("inf"), 1e9, 1e30, -1e30):
        broken = Pyramid({**levels, "p4": levels["p4"] + bad})
        with pytest.raises(PyramidError, match=r"^pyramid: required features whose symbols lie within 16384, found"):
            codec.encode(broken, geometry, 1.0)
    streams = codec.encode(levels, geometry, 1.0)
    other = Streams(streams.payloads, streams.sizes, streams.symbols_crc ^ 1, geometry, 1.0)
    with pytest.raises(StreamError, match=r"^symbols: required the checksum [0-9a-f]{8}, found [0-9a-f]{8}$"):
        codec.decode(other)
    other = Streams({"p3": streams.payloads["shared"]}, streams.sizes, streams.symbols_crc, geometry, 1.0)
    with pytest.raises(StreamError, match=r"^payloads: required shared for p3 and p4 and p5 and p5b, found p3 for p3"):
        codec.decode(other)
    other = Streams(streams.payloads, streams.sizes, streams.symbols_crc, geometry, 9.0)
    with pytest.raises(StreamError, match=r"^quality: required a number from 0 to 2, found 9$"):
        codec.decode(other)
    with pytest.raises(UserError, match=r"^codec: required coding tables, found none; call update_tables\(\) before"):
        FusedPyramidCodec(fused.settings(), fused.SPEC).eval().encode(levels, geometry, 1.0)


def test_levels_that_do_not_exist() -> None:
    with pytest.raises(PyramidError, match=r"^codec.levels: required some of p3, p4, p5, p5b; found p2, p7$"):
        FusedPyramidCodec(fused.settings(levels=["p2", "p3", "p7"]), fused.SPEC)
    text = "codec.levels: required none with codec.apart, where no level follows from another"
    with pytest.raises(PyramidError, match=f"^{text}$"):
        FusedPyramidCodec(fused.settings(levels=["p3"], apart=True), fused.SPEC)
