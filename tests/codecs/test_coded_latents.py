"""What a codec tells of its bits is what it codes."""

from collections.abc import Sequence

import pytest
import torch

from fpnkit.codecs.base import symbols_crc
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.factorized import FactorizedPyramidCodec
from fpnkit.pyramid import Pyramid
from tests.support import tiny


@pytest.fixture(scope="module")
def codec() -> FactorizedPyramidCodec:
    torch.manual_seed(0)
    result = build_codec(tiny.config().codec, tiny.SPEC).eval()
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            if "analysis.0.weight" in name:  # latents of some size, so that there is something to code
                parameter.mul_(20)
    result.update_tables()
    assert isinstance(result, FactorizedPyramidCodec)
    return result


GEOMETRY = tiny.features(1).geometry


def pyramid() -> Pyramid:
    return tiny.features(1).pyramid


def test_the_symbols_are_the_ones_that_are_coded(codec: FactorizedPyramidCodec) -> None:
    crc = 0
    for latents in codec.coded_latents(pyramid(), GEOMETRY).values():
        crc = symbols_crc(latents.symbols.int(), crc)
    assert crc == codec.encode(pyramid(), GEOMETRY).symbols_crc


def test_bits_of_all_elements_are_the_bits_that_forward_estimates(codec: FactorizedPyramidCodec) -> None:
    with torch.no_grad():
        whole = codec(pyramid()).bits
    coded = codec.coded_latents(pyramid(), GEOMETRY)
    assert {name: latents.bits.sum().item() for name, latents in coded.items()} == pytest.approx(
        {name: bits.sum().item() for name, bits in whole.items()}, rel=1e-5
    )
    assert all(latents.bits.shape == latents.symbols.shape for latents in coded.values())


def test_an_elements_bits_are_those_of_its_probability(codec: FactorizedPyramidCodec) -> None:
    latents = codec.coded_latents(pyramid(), GEOMETRY)["p2"]
    symbols = torch.arange(int(latents.symbols.min()), int(latents.symbols.max()) + 1)
    assert len(symbols) > 3
    probability = codec.latent_density("p2", symbols).probability
    for channel in range(len(probability)):
        places = latents.symbols[channel].flatten() - symbols[0]
        expected = -probability[channel, places].log2()
        assert latents.bits[channel].flatten().tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-4)


def payload_bytes(codec: FactorizedPyramidCodec, symbol: int, channels: Sequence[int]) -> int:
    """Of 20 x 20 cells that hold the symbol in some channels and 0 elsewhere."""
    bottleneck = codec.levels["p2"].bottleneck
    symbols = torch.zeros(3, 20, 20, dtype=torch.int32)
    symbols[list(channels)] = symbol
    return len(bottleneck.encode(symbols))


def test_the_coding_tables_end_where_symbols_begin_to_be_escaped(codec: FactorizedPyramidCodec) -> None:
    first, last = codec.latent_density("p2", torch.arange(1)).table[0].tolist()
    for inner, edge, outside in ((first + 1, first, first - 1), (last - 1, last, last + 1)):
        sizes = [payload_bytes(codec, symbol, [0]) for symbol in (inner, edge, outside)]
        assert sizes[1] - sizes[0] < 400 * 2 / 8
        assert sizes[2] - sizes[1] >= 400 * 4 / 8  # at least one nibble each in the clear
