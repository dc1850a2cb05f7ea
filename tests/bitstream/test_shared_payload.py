"""A codec whose levels share a payload goes all the way: container, coder, inspection."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fpnkit.bitstream.__main__ import main
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.container import FilePayload, read, write
from fpnkit.errors import StreamError, UserError
from tests.support import shared_codec, tiny
from tests.support.mutations import mutated
from tests.support.raw_stream import resealed


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with shared_codec.known_to_the_format():
        yield


def source() -> CoderInput:
    features = tiny.features(0)
    return CoderInput(
        torch.zeros(3, *features.geometry.original, dtype=torch.uint8), features.pyramid, features.geometry
    )


def test_the_file_has_one_payload_for_all_levels_and_the_quality() -> None:
    coded = LearnedCoder(shared_codec.trained(), 2.5).encode(source())
    stream = read(coded.data)
    assert (stream.codec, stream.quality, coded.data[3]) == ("shared_test", 2.5, 2)
    assert stream.payloads == (FilePayload(stream.payloads[0].data, (0, 1), "y"),)
    assert coded.bits_level == coded.bits_estimated == {"shared": 8 * stream.payload_bytes}
    assert write(stream) == coded.data


def test_any_coder_of_the_model_decodes_every_quality_to_the_quantized_path() -> None:
    original, sizes = source(), []
    for quality in (0.0, 1.25, 5.0):
        coded = LearnedCoder(shared_codec.trained(), quality).encode(original)
        received = LearnedCoder(shared_codec.trained()).decode(coded.data)
        expected = shared_codec.trained().codec(original.pyramid, None, torch.tensor([quality])).reconstruction
        assert all(torch.equal(received.pyramid[name], expected[name]) for name in expected)
        assert received.geometry == original.geometry
        sizes.append(len(coded.data))
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        (None, "quality: required a number from 0 to 8, found none"),
        (9.0, "quality: required a number from 0 to 8, found 9"),
        (0.0001, "quality: required 0 to 1000 in steps of 0.001, found 0.0001"),
    ],
)
def test_a_quality_that_the_codec_or_the_format_lacks_is_refused(quality: float | None, expected: str) -> None:
    with pytest.raises(UserError) as error:
        LearnedCoder(shared_codec.trained(), quality).encode(source())
    assert str(error.value) == expected


def test_wrong_files_are_refused_or_mean_exactly_one_thing() -> None:
    generator, receiver, results = random.Random(0), LearnedCoder(shared_codec.trained()), [0, 0]
    data = LearnedCoder(shared_codec.trained(), 1.0).encode(source()).data
    for _ in range(1000):
        wrong = resealed(mutated(data, generator))
        try:
            stream = read(wrong)
            assert write(stream) == wrong
            receiver.decode_stream(stream)
            results[0] += 1
        except (StreamError, UserError):
            results[1] += 1
    assert min(results) > 0


def test_inspection_tells_what_is_shared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.fpn"
    path.write_bytes(LearnedCoder(shared_codec.trained(), 2.5).encode(source()).data)
    size = read(path.read_bytes()).payload_bytes
    assert main(["inspect", str(path), "--base-dir", str(tmp_path), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["quality"] == 2.5
    assert report["payloads"] == [{"name": "y", "levels": ["p2", "p3"], "bytes": size}]
    assert (report["shared_bytes"], [level["bytes"] for level in report["levels"]]) == (size, [0, 0])
    assert size + report["header_bytes"] == report["bytes"] == path.stat().st_size
    assert main(["inspect", str(path), "--base-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  codec    shared_test, quality 2.5" in lines
    assert [line.split()[:2] for line in lines if " shared " in line] == [["shared", str(size)]]
    assert [line.split()[0] for line in lines if line.endswith(" in shared")] == ["p2", "p3"]
