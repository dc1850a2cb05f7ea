import copy

import pytest
import torch

from fpnkit.container import StreamFile, read
from tests.support import rans_reference
from tests.support.fixed_codec import LATENT_CHANNELS, MEDIAN, coder, fixed_codec, offset, table, trained
from tests.support.golden import FOLDER, GOLDEN, make


@pytest.fixture(params=GOLDEN)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stored(name: str) -> bytes:
    return (FOLDER / f"{name}.fpn").read_bytes()


def test_the_header_says_what_it_was_made_with(name: str) -> None:
    stream, golden = read(stored(name)), GOLDEN[name]
    expected = "factorized", trained().hash, golden.geometry, golden.sizes, golden.symbols_crc()
    assert (stream.codec, stream.model_hash, stream.geometry, stream.sizes, stream.symbols_crc) == expected


def test_the_symbols_are_those_of_the_formula_by_another_decoder_and_by_ours(name: str) -> None:
    stream, golden = read(stored(name)), GOLDEN[name]
    tables = [table(channel) for channel in range(LATENT_CHANNELS)]
    offsets = [offset(channel) for channel in range(LATENT_CHANNELS)]
    for number, level in enumerate(fixed_codec().levels.values()):
        expected = golden.symbols(number)
        cells = len(expected) // LATENT_CHANNELS
        channels = [channel for channel in range(LATENT_CHANNELS) for _ in range(cells)]
        found = rans_reference.decode(stream.payloads[number].data, channels, tables, offsets)
        assert (found.symbols, found.plain) == (expected, True)
        assert found.bytes_read == len(stream.payloads[number].data)
        assert level.bottleneck.decode(stream.payloads[number].data, (1, cells)).flatten().tolist() == expected


def test_the_features_are_those_of_the_synthesis_in_double_precision(name: str) -> None:
    golden, codec = GOLDEN[name], copy.deepcopy(fixed_codec()).double()
    decoded = coder().decode(stored(name))
    assert decoded.geometry.canvas == golden.geometry.canvas
    for number, (level_name, level) in enumerate(codec.levels.items()):
        height, width = golden.sizes[number]
        latents = torch.tensor(golden.symbols(number), dtype=torch.float64) + MEDIAN
        with torch.no_grad():
            made = level.synthesis(latents.view(1, LATENT_CHANNELS, -(-height // (8, 4)[number]), -1))
        expected = made[..., :height, :width] * 2.0 + 0.5  # the fixed codec's deviation and mean
        assert decoded.pyramid[level_name].shape == expected.shape
        error = (decoded.pyramid[level_name] - expected).abs().max()
        assert error <= 1e-4 * max(2.0, expected.abs().max().item())


def test_coding_the_same_symbols_gives_the_same_file_today(name: str) -> None:
    assert make(GOLDEN[name]) == stored(name)


def test_none_has_a_stray_field(name: str) -> None:
    stream = read(stored(name))
    assert isinstance(stream, StreamFile)
    assert stream.header_bytes == len(stored(name)) - stream.payload_bytes <= 40
