import copy
import hashlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fpnkit.codecs.base import Codec
from fpnkit.codecs.coder import CodedImage, CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec, model_hash
from fpnkit.container import of_each_level, read, write
from fpnkit.errors import PyramidError, StreamError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from fpnkit.runs.record import read_record
from fpnkit.training.loop import train
from tests.support import ROOT, fused, linear_codec, tiny, warm
from tests.support.fixed_codec import coder, fixed_codec, trained
from tests.support.golden import FOLDER, GOLDEN


def source(seed: int = 0, scale: float = 30.0) -> CoderInput:
    features = tiny.features(seed)
    pyramid = Pyramid({name: scale * level for name, level in features.pyramid.items()})
    geometry = replace(features.geometry, original=(100, 200))
    return CoderInput(torch.zeros(3, 100, 200, dtype=torch.uint8), pyramid, geometry)


def coded(seed: int = 0) -> CodedImage:
    return coder().encode(source(seed))


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 3000.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_decoding_gives_the_quantized_path_bit_for_bit(seed: int, scale: float) -> None:
    original = source(seed, scale)
    with torch.no_grad():
        expected = fixed_codec()(original.pyramid).reconstruction
    found = coder().decode(coder().encode(original).data)
    assert found.geometry == original.geometry
    assert list(found.pyramid) == list(expected)
    assert all(torch.equal(found.pyramid[name], expected[name]) for name in expected)


def test_bits_are_those_of_the_payloads_and_the_estimate_that_of_the_forward_pass() -> None:
    original, found = source(), coded()
    payloads = dict(zip(tiny.SPEC.names, read(found.data).payloads, strict=True))
    assert found.bits_level == {name: 8 * len(payload.data) for name, payload in payloads.items()}
    with torch.no_grad():
        expected = fixed_codec()(original.pyramid).bits
    assert found.bits_estimated == pytest.approx({name: bits.sum().item() for name, bits in expected.items()}, rel=1e-5)


def test_encoding_is_deterministic_and_leaves_its_input_alone() -> None:
    original = source()
    before = copy.deepcopy(dict(original.pyramid))
    assert coder().encode(original).data == coder().encode(original).data
    assert all(torch.equal(original.pyramid[name], before[name]) for name in before)


def message(data: bytes) -> str:
    with pytest.raises(StreamError) as error:
        coder().decode(data)
    return str(error.value)


def changed(**changes: object) -> bytes:
    return write(replace(read(coded().data), **changes))  # type: ignore[arg-type]


def test_a_file_of_another_model_is_refused_with_both_hashes() -> None:
    expected = f"model: required 01234567, with which the file was coded, found {trained().hash}"
    assert message(changed(model_hash="01234567")) == expected


def test_another_number_of_levels_is_refused() -> None:
    stream = read(coded().data)
    data = changed(sizes=stream.sizes[:1], payloads=stream.payloads[:1])
    assert message(data) == "levels: required 2 of factorized, found 1 of factorized"


def test_levels_larger_than_their_stride_allows_are_refused_on_both_sides() -> None:
    expected = "level p2: required at most 32 x 36 at stride 4 of a canvas of 64 x 72, found 33 x 18"
    stream = read(coded().data)
    assert message(changed(sizes=((33, 18), stream.sizes[1]))) == expected
    small = replace(source(), geometry=ImageGeometry((4, 4), (4, 4), (4, 4)))
    with pytest.raises(StreamError) as error:
        coder().encode(small)
    assert str(error.value) == ("level p2: required at most 2 x 2 at stride 4 of a canvas of 4 x 4, found 16 x 18")


def test_payloads_of_impossible_length_are_refused_with_their_level() -> None:
    stream = read(coded().data)
    data = changed(payloads=of_each_level(stream.payloads[0].data, b"\0" * 10))
    assert message(data) == "level p3: required 8 to 116 bytes in words of 4 for 6 cells, found 10 bytes"


def test_other_symbols_than_were_coded_are_refused() -> None:
    stream = read(coded().data)
    wrong = stream.symbols_crc ^ 1
    expected = f"symbols: required the checksum {wrong:08x}, found {stream.symbols_crc:08x}"
    assert message(changed(symbols_crc=wrong)) == expected
    first, second = (payload.data for payload in stream.payloads)
    wrong_first = bytes([first[0] ^ 1]) + first[1:]
    assert message(changed(payloads=of_each_level(wrong_first, second))).startswith("symbols: required the checksum ")


@pytest.mark.parametrize(("value", "found"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "inf")])
@pytest.mark.parametrize("kind", ["factorized", "fused", "linear"])
def test_features_that_are_not_finite_are_refused_by_their_level(kind: str, value: float, found: str) -> None:
    codecs: dict[str, tuple[Codec, Pyramid, ImageGeometry, float | None]] = {
        "factorized": (fixed_codec(), source().pyramid, source().geometry, None),
        "fused": (fused.codec(), fused.pyramid(1), fused.geometry(), 1.0),
        "linear": (linear_codec.shared(), linear_codec.pyramid(64, 64), linear_codec.geometry(64, 64), 1.0),
    }
    codec, pyramid, geometry, quality = codecs[kind]
    model = TrainedCodec(codec, tiny.config(), "f" * 64, 1, "0" * 8)
    pyramid["p3"][0, 0, 2, 3] = value
    with pytest.raises(PyramidError) as error:
        LearnedCoder(model, quality).encode(CoderInput(torch.zeros(3, 8, 8), pyramid, geometry))
    assert str(error.value) == f"level p3: required finite features, found {found}"


def test_latents_beyond_what_the_coder_can_take_are_refused() -> None:
    codec = fixed_codec()
    with torch.no_grad():
        codec.levels["p3"].analysis[-1].bias[1] = -(2.0**25)
    with pytest.raises(PyramidError) as error:
        codec.encode(source(scale=0.0).pyramid, source().geometry)
    assert str(error.value) == "level p3: required features whose latents lie within 16777216, found 3.35544e+07"


def test_an_image_too_large_for_the_format_is_refused_when_coded() -> None:
    large = replace(source(), geometry=replace(source().geometry, original=(70000, 10)))
    with pytest.raises(StreamError) as error:
        coder().encode(large)
    assert str(error.value) == "original: required sides from 1 to 65535, found 70000 x 10"


def test_another_process_with_more_threads_decodes_the_same_in_any_order(tmp_path: Path) -> None:
    names = list(GOLDEN)
    code = f"""
import numpy as np, torch
from tests.support.fixed_codec import coder
from tests.support.golden import FOLDER
torch.set_num_threads(2)
receiver, levels = coder(), {{}}
for name in {names[::-1]!r}:
    decoded = receiver.decode((FOLDER / f"{{name}}.fpn").read_bytes())
    levels |= {{f"{{name}} {{level}}": tensor.numpy() for level, tensor in decoded.pyramid.items()}}
np.savez({str(tmp_path / "levels.npz")!r}, **levels)
"""
    done = warm.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    torch.set_num_threads(1)
    receiver, found = coder(), np.load(tmp_path / "levels.npz")
    for name in names:
        decoded = receiver.decode((FOLDER / f"{name}.fpn").read_bytes())
        for level, tensor in decoded.pyramid.items():
            deviation = 2.0 if tensor.numel() < 10 else float(tensor.std())
            np.testing.assert_allclose(found[f"{name} {level}"], tensor.numpy(), rtol=0, atol=1e-4 * deviation)


def test_the_hash_is_a_sha256_of_names_types_shapes_and_bytes() -> None:
    weights = {"b": torch.tensor([1.5, -2.0]), "a.c": torch.tensor([[7], [8]], dtype=torch.int32), "s": torch.tensor(1)}
    expected = hashlib.sha256(
        b"a.c int32 [2, 1]\n"
        + np.array([7, 8], "<i4").tobytes()
        + b"b float32 [2]\n"
        + np.array([1.5, -2.0], "<f4").tobytes()
        + b"s int64 []\n"
        + np.array(1, "<i8").tobytes()
    ).hexdigest()
    assert model_hash(weights) == expected[:8]


def test_the_hash_depends_on_every_tensor_and_on_nothing_else() -> None:
    weights = fixed_codec().state_dict()
    reference = model_hash(weights)
    assert model_hash(dict(reversed(list(weights.items())))) == reference
    strided = {name: torch.stack([tensor, tensor], -1)[..., 0] for name, tensor in weights.items()}
    assert model_hash(strided) == reference
    for name, tensor in weights.items():
        other = tensor.clone()
        other.view(-1)[0] += 1
        assert model_hash({**weights, name: other}) != reference


def test_training_notes_the_hash_that_the_best_models_streams_carry(tmp_path: Path) -> None:
    settings = tiny.config(epochs=1)
    run = tiny.run(settings, tmp_path)
    train(tiny.learner(settings, tmp_path), run, settings.training)
    run.end("finished", 0)
    best, model = read_record(run.path).best, load_codec(run.path / "best_model.pth")
    assert best is not None
    assert best.model_hash == model.hash == model_hash(model.codec.state_dict())
    assert read(LearnedCoder(model).encode(source()).data).model_hash == best.model_hash


def test_a_run_from_before_there_were_hashes_is_read(tmp_path: Path) -> None:
    run = tiny.run(tiny.config(), tmp_path)
    run.best(epoch=1, loss=0.5, file="best_model.pth", metrics={}, model_hash="01234567")
    run.end("finished", 0)
    values = json.loads((run.path / "run.json").read_text())
    del values["best"]["model_hash"]
    (run.path / "run.json").write_text(json.dumps(values))
    best = read_record(run.path).best
    assert best is not None
    assert (best.epoch, best.model_hash) == (1, None)
