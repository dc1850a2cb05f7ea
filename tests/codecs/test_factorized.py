import copy
import functools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import Calibration, LevelStatistics
from fpnkit.codecs.factorized import Bottleneck
from fpnkit.config.schema import FactorizedCodec
from fpnkit.errors import PyramidError, StreamError, UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p2", 6, 4), LevelSpec("p3", 6, 8), LevelSpec("p5", 5, 32), LevelSpec("p5b", 5, 32)))
SMALL = FactorizedCodec(channels=8, latent_channels=4)
GEOMETRY = ImageGeometry((64, 64), (64, 64), (64, 64))


def pyramid(height: int, width: int, scale: float = 1.0, batch: int = 1) -> Pyramid:
    return Pyramid(
        {
            level.name: scale
            * torch.randn(batch, level.channels, -(-height // level.stride), -(-width // level.stride))
            for level in SPEC.levels
        }
    )


def codec() -> Codec:
    torch.manual_seed(0)
    result = build_codec(SMALL, SPEC)
    levels = {name: LevelStatistics(0.3, 2.0, torch.ones(1), 1.0) for name in SPEC.names}
    result.standardiser.set(Calibration(levels, 1))
    with torch.no_grad():  # latents of some size, so that there is something to code
        for name, parameter in result.named_parameters():
            if "analysis.0.weight" in name:
                parameter.mul_(20)
    return result


@functools.cache
def _exported() -> Codec:
    result = codec().eval()
    result.update_tables()
    return result


def exported() -> Codec:
    return copy.deepcopy(_exported())


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 150), width=st.integers(1, 150), scale=st.sampled_from([0.0, 1.0, 30.0]))
def test_decoding_gives_exactly_the_quantized_forward_path_at_every_size(height: int, width: int, scale: float) -> None:
    model, original = exported(), pyramid(height, width, scale)
    with torch.no_grad():
        expected = model(original).reconstruction
    decoded = model.decode(model.encode(original, GEOMETRY))
    assert decoded.sizes == original.sizes
    assert all(torch.equal(decoded[name], expected[name]) for name in original)


def test_payload_is_within_one_percent_and_8_bytes_of_the_estimate_per_level() -> None:
    model, original = exported(), pyramid(512, 640, 3.0)
    with torch.no_grad():
        bits = model(original).bits
    for name, payload in model.encode(original, GEOMETRY).payloads.items():
        estimate = bits[name].sum().item() / 8
        assert abs(len(payload.data) - estimate) <= 0.01 * estimate + 8, name


def test_signed_features_are_not_clamped() -> None:
    model = exported()
    model.standardiser.deviation.fill_(1000.0)
    decoded = model.decode(model.encode(pyramid(128, 128, 1000.0), GEOMETRY))
    assert decoded["p2"].min() < -1 < 1 < decoded["p2"].max()


def test_a_loaded_codec_decodes_the_streams_of_the_saved_one() -> None:
    model, other = exported(), build_codec(SMALL, SPEC).eval()
    streams = model.encode(pyramid(100, 70, 3.0), GEOMETRY)
    other.load_state_dict(model.state_dict())
    expected, found = model.decode(streams), other.decode(streams)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_order_of_levels_does_not_matter() -> None:
    model, original = exported(), pyramid(64, 96, 3.0)
    forward = model.encode(original, GEOMETRY)
    backward = model.encode(Pyramid(dict(reversed(list(original.items())))), GEOMETRY)
    assert forward == backward
    reordered = replace(forward, payloads=dict(reversed(list(forward.payloads.items()))))
    expected, found = model.decode(forward), model.decode(reordered)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_exporting_a_copy_leaves_the_training_state_alone() -> None:
    model = codec().train()
    before = copy.deepcopy(model.state_dict())
    exported_copy = copy.deepcopy(model).eval()
    exported_copy.update_tables()
    exported_copy.encode(pyramid(64, 64), GEOMETRY)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_quantiles_that_have_not_converged_do_not_cost_rate_once_exported() -> None:
    """Latents of deviation 60 under tables for [-10, 10] would take over 40 % more than their entropy."""
    model = codec()
    for level in model.levels.values():  # type: ignore[union-attr]
        level.bottleneck = Bottleneck(4, init_scale=300)
        with torch.no_grad():
            level.bottleneck.quantiles.copy_(torch.tensor([-10.0, 0.0, 10.0]).expand(4, 1, 3))
            level.analysis[-1].weight.mul_(200)
    model = model.eval()
    model.update_tables()
    original = pyramid(512, 512)
    with torch.no_grad():
        output = model(original)
    assert output.latents["p2"].std() > 30
    coded = sum(len(payload.data) for payload in model.encode(original, GEOMETRY).payloads.values())
    assert coded <= 1.01 * sum(bits.sum().item() for bits in output.bits.values()) / 8 + 8 * len(SPEC.levels)


def test_latents_lie_at_one_32nd_to_one_64th_of_the_image() -> None:
    with torch.no_grad():
        latents = exported()(pyramid(256, 256)).latents
    assert {name: tuple(level.shape[-2:]) for name, level in latents.items()} == {
        "p2": (8, 8),
        "p3": (8, 8),
        "p5": (4, 4),
        "p5b": (4, 4),
    }


def test_chosen_halvings_for_other_levels_are_refused() -> None:
    with pytest.raises(PyramidError) as error:
        build_codec(FactorizedCodec(halvings={"p2": 1, "p4": 2}), SPEC)
    assert str(error.value) == "codec.halvings: required the levels p2, p3, p5, p5b; found p2, p4"


def test_encoding_a_pyramid_of_another_detector_is_refused() -> None:
    with pytest.raises(PyramidError) as error:
        exported().encode(Pyramid({"p2": torch.zeros(1, 256, 8, 8)}), GEOMETRY)
    assert str(error.value) == f"pyramid: required {SPEC}; found p2 256 channels"


def test_a_stream_says_the_size_of_the_level_not_of_the_padding() -> None:
    assert exported().encode(pyramid(100, 37), GEOMETRY).sizes["p2"] == (25, 10)


def test_bits_of_a_payload_that_serves_one_level_are_the_levels() -> None:
    streams = exported().encode(pyramid(100, 37), GEOMETRY)
    assert streams.bits_level() == {name: 8 * len(payload.data) for name, payload in streams.payloads.items()}
    assert streams.bits_level_estimated() == streams.bits_estimated


def test_coding_without_tables_is_refused() -> None:
    message = "codec: required coding tables, found none; call update_tables() before encode or decode"
    model, coded = codec().eval(), exported().encode(pyramid(64, 64), GEOMETRY)
    for use in (lambda: model.encode(pyramid(64, 64), GEOMETRY), lambda: model.decode(coded)):
        with pytest.raises(UserError) as error:
            use()
        assert str(error.value) == message


def test_a_quality_is_refused_by_a_codec_of_one_rate() -> None:
    with pytest.raises(UserError) as error:
        exported().encode(pyramid(64, 64), GEOMETRY, 2.5)
    assert str(error.value) == "quality: required none, the codec has one rate; found 2.5"


def test_streams_with_other_payloads_or_a_quality_are_refused() -> None:
    streams = exported().encode(pyramid(64, 64), GEOMETRY)
    shared = {"y": replace(streams.payloads["p2"], levels=("p2", "p3"))}
    required = "payloads: required one for each level, without quality, found"
    for changed, found in (
        (replace(streams, payloads=shared), "y for p2 and p3"),
        (replace(streams, quality=1.5), "p2 for p2, p3 for p3, p5 for p5, p5b for p5b of quality 1.5"),
    ):
        with pytest.raises(StreamError) as error:
            exported().decode(changed)
        assert str(error.value) == f"{required} {found}"
