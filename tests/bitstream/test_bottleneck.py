import functools
import random
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.codecs.bottleneck import Bottleneck
from fpnkit.codecs.rans import LARGEST_SYMBOL, _overrun
from fpnkit.errors import StreamError
from tests.support import rans_reference, warm
from tests.support.fixed_codec import LATENT_CHANNELS, fixed_codec, offset, table

TABLES = [table(channel) for channel in range(LATENT_CHANNELS)]
OFFSETS = [offset(channel) for channel in range(LATENT_CHANNELS)]


@functools.cache
def bottleneck() -> Bottleneck:
    found = fixed_codec().levels["p2"].bottleneck
    assert isinstance(found, Bottleneck)
    return found


def learned(channels: int = 4) -> Bottleneck:
    torch.manual_seed(0)
    result = Bottleneck(channels).eval()
    result.update(force=True, update_quantiles=True)
    return result


@given(
    st.lists(st.integers(-LARGEST_SYMBOL, LARGEST_SYMBOL) | st.integers(-6, 6), min_size=1, max_size=30),
    st.booleans(),
)
def test_symbols_come_back_by_our_decoder_and_by_another_one(values: list[int], tall: bool) -> None:
    cells = len(values)
    symbols = torch.tensor(values * LATENT_CHANNELS, dtype=torch.int32)
    symbols = symbols.view(LATENT_CHANNELS, cells, 1) if tall else symbols.view(LATENT_CHANNELS, 1, cells)
    payload = bottleneck().encode(symbols)
    assert torch.equal(bottleneck().decode(payload, symbols.shape[1:]), symbols)
    channels = [channel for channel in range(LATENT_CHANNELS) for _ in range(cells)]
    found = rans_reference.decode(payload, channels, TABLES, OFFSETS)
    assert (found.symbols, found.bytes_read, found.plain) == (symbols.flatten().tolist(), len(payload), True)


def hostile_payloads() -> list[bytes]:
    generator = random.Random(0)
    payloads = [b"\xff" * length for length in (8, 12, 40, 400)]
    payloads += [b"\0" * length for length in (8, 40)]
    payloads += [b"\x0f\0\0\0" * length for length in (2, 10, 50)]  # a state that stays small: a word for each step
    payloads += [b"\xff\xff\0\0" + b"\0" * 4 + b"\x0f\0\0\0" * length for length in (2, 50)]
    for _ in range(300):
        words = [generator.choice((generator.randbytes(4), b"\xff" * 4, b"\x0f\0\0\0")) for _ in range(50)]
        payloads.append(b"".join(words[: generator.randint(2, 50)]))
        payloads.append(b"\xff" * 4 * generator.randint(2, 30) + generator.randbytes(8))
    return payloads


@pytest.mark.parametrize("escape", [1, 5536, 60000], ids=["rare", "usual", "nearly always"])
def test_no_payload_leads_the_decoder_further_behind_its_end_than_there_are_zeros(escape: int) -> None:
    """Counted by the other decoder. Where all payload is one escaped number, the zeros are hardly more than needed."""
    symbols, tables = 20, [[0, 65536 - escape, 65536]]
    most = 0.0
    for payload in hostile_payloads():
        beyond = rans_reference.decode(payload, [0] * symbols, tables, [0]).bytes_read - len(payload)
        assert beyond <= _overrun(len(payload), symbols)
        most = max(most, beyond / _overrun(len(payload), symbols))
    assert most > 0.5


def test_behind_the_end_of_a_payload_the_decoder_reads_zeros() -> None:
    channels = [channel for channel in range(LATENT_CHANNELS) for _ in range(6)]
    generator, compared = random.Random(1), 0
    for payload in [*hostile_payloads(), *(generator.randbytes(8) for _ in range(200))]:
        if len(payload) <= 8 + 6 * len(channels):
            expected = rans_reference.decode(payload, channels, TABLES, OFFSETS)
            found = bottleneck().decode(payload, (2, 3)).flatten().tolist()
            if expected.plain and expected.bytes_read > len(payload):
                assert found == expected.symbols
                compared += 1
    assert compared > 50


def test_a_process_survives_what_the_coder_itself_would_not() -> None:
    """One or two symbols, whose last state it writes outside its buffer; a payload of ones, behind which it reads on
    for 15 times as long. Both end in a crash sooner or later, which is why this is a process of its own.
    """
    code = """
import torch
from fpnkit.codecs.bottleneck import Bottleneck
torch.manual_seed(0)
for channels in (1, 2):
    bottleneck = Bottleneck(channels)
    bottleneck.update(force=True)
    for value in (0, 1, 9, 10, 11, -50, 2**24) * 300:
        symbols = torch.full((channels, 1, 1), value, dtype=torch.int32)
        assert torch.equal(bottleneck.decode(bottleneck.encode(symbols), (1, 1)), symbols)
for length in (48, 4800, 480000, 4800000):
    assert bottleneck.decode(bytes([255]) * length, (length // 12, 1)).shape == (2, length // 12, 1)
print("alive")
"""
    done = warm.run([sys.executable, "-W", "ignore", "-c", code])
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@pytest.mark.parametrize("deviation", [0.1, 3.0, 400.0])
@pytest.mark.parametrize("cells", [1, 100])
def test_the_estimate_is_that_of_the_forward_pass(deviation: float, cells: int) -> None:
    model = learned()
    latents = deviation * torch.randn(4, cells, 3)
    with torch.no_grad():
        rounded, likelihoods = model(latents[None])
    symbols = model.symbols(latents).int()
    assert torch.equal(model.latents(symbols), rounded[0])
    assert model.estimated_bits(symbols) == pytest.approx(-likelihoods.log2().sum().item(), rel=1e-5)


@given(cells=st.integers(1, 3000), likeliest=st.integers(1, 65534))
def test_the_cheapest_level_there_is_still_passes_for_possible(cells: int, likeliest: int) -> None:
    model = Bottleneck(2)
    model._quantized_cdf = torch.tensor([[0, 65535 - likeliest, 65535, 65536]] * 2, dtype=torch.int32)
    model._cdf_length = torch.tensor([4, 4], dtype=torch.int32)
    model._offset = torch.tensor([0, 0], dtype=torch.int32)
    symbols = torch.full((2, cells, 1), int(likeliest >= 65535 - likeliest), dtype=torch.int32)
    assert torch.equal(model.decode(model.encode(symbols), (cells, 1)), symbols)


@pytest.mark.parametrize(
    ("payload", "size", "expected"),
    [
        (b"", (1, 1), "required 8 to 26 bytes in words of 4 for 1 cells, found 0 bytes"),
        (b"\0" * 4, (1, 1), "required 8 to 26 bytes in words of 4 for 1 cells, found 4 bytes"),
        (b"\0" * 9, (1, 1), "required 8 to 26 bytes in words of 4 for 1 cells, found 9 bytes"),
        (b"\0" * 28, (1, 1), "required 8 to 26 bytes in words of 4 for 1 cells, found 28 bytes"),
    ],
)
def test_payloads_that_cannot_be_are_refused_with_the_whole_reason(
    payload: bytes, size: tuple[int, int], expected: str
) -> None:
    with pytest.raises(StreamError) as error:
        bottleneck().decode(payload, size)
    assert str(error.value) == expected


def test_a_small_payload_cannot_claim_a_large_level() -> None:
    """Each symbol costs at least the bits of its channel's likeliest one: here 60000 * 3 / 9 of 65536 and less."""
    with pytest.raises(StreamError) as error:
        bottleneck().decode(b"\0" * 400, (2000, 2000))
    words = str(error.value).split()
    low, high = int(words[1]), int(words[3])
    assert 3 * 2000 * 2000 * 1.5 / 8 < low < 3 * 2000 * 2000 * 3.0 / 8
    assert high == 8 + 6 * 3 * 2000 * 2000
