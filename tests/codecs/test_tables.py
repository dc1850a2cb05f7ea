"""Tables that symbols are coded with: the distributions in them, and what the coder really spends."""

import math

import pytest
import torch
from torch import Tensor

from fpnkit.codecs import rans
from fpnkit.codecs.gaussian import SCALES, GaussianTables
from fpnkit.codecs.histograms import CLASSES, COUNTED, HistogramTables

WHOLE = 2**16


@pytest.fixture(scope="module")
def histograms() -> HistogramTables:
    """Of nothing counted."""
    result = HistogramTables()
    result.make(torch.zeros(CLASSES, COUNTED + 1))
    return result


@pytest.fixture(scope="module")
def gaussian() -> GaussianTables:
    result = GaussianTables()
    result.make()
    return result


def expected_magnitude(number: int) -> float:
    """From 0.0001 to 256 by equal factors."""
    return float(1e-4 * (256 / 1e-4) ** (number / (CLASSES - 1)))


def chances(tables: rans.Tables, number: int) -> tuple[list[int], Tensor]:
    """Symbols in a table, and the share that each has of its numbers; without what is beyond."""
    edges = torch.tensor(tables.cdf[number], dtype=torch.float64)
    first = tables.offset[number]
    return [*range(first, first + len(edges) - 2)], edges.diff()[:-1] / WHOLE


@pytest.mark.parametrize("number", range(30, 50, 3))  # above, the least share that a symbol can have weighs
def test_without_counts_a_class_has_the_magnitude_that_it_stands_for(histograms: HistogramTables, number: int) -> None:
    symbols, shares = chances(histograms.tables(), number)
    expected = expected_magnitude(number)
    assert symbols[-1] == -symbols[0] == max(3, math.ceil(12 * expected))
    found = sum(abs(symbol) * share for symbol, share in zip(symbols, shares.tolist(), strict=True))
    assert found == pytest.approx(expected, rel=0.01)
    assert shares.flip(0).tolist() == pytest.approx(shares.tolist(), abs=20 / WHOLE)  # either sign alike


def test_the_class_of_a_magnitude_is_the_nearest_by_its_factor(histograms: HistogramTables) -> None:
    middle = torch.tensor([expected_magnitude(number) for number in range(CLASSES)], dtype=torch.float64)
    factor = (256 / 1e-4) ** (0.49 / (CLASSES - 1))
    for magnitude in (middle / factor, middle, middle * factor):
        assert histograms.index(magnitude).tolist() == [*range(CLASSES)]
    assert histograms.index(torch.tensor([0.0, 1e9])).tolist() == [0, CLASSES - 1]


def test_what_was_counted_outweighs_the_distribution_at_the_start() -> None:
    """Magnitude 1 in half of 10,000 cases, 4 in the rest; the start is worth 20 cases."""
    counts = torch.zeros(CLASSES, COUNTED + 1)
    counts[50, 1] = counts[50, 4] = 5000
    tables = HistogramTables()
    tables.make(counts)
    symbols, shares = chances(tables.tables(), 50)
    by_symbol = dict(zip(symbols, shares.tolist(), strict=True))
    assert [by_symbol[n] for n in (-4, -1, 1, 4)] == pytest.approx([0.25] * 4, rel=0.02)
    assert by_symbol[2] < 20 / 10_000
    untouched = HistogramTables()
    untouched.make(torch.zeros_like(counts))
    assert tables.tables().cdf[49] == untouched.tables().cdf[49]


def test_counts_of_large_magnitudes_are_spread_as_at_the_start(histograms: HistogramTables) -> None:
    counts = torch.zeros(CLASSES, COUNTED + 1)
    counts[57, COUNTED] = 1e6
    tables = HistogramTables()
    tables.make(counts)
    (symbols, found), (_, before) = chances(tables.tables(), 57), chances(histograms.tables(), 57)
    far = torch.tensor([COUNTED <= abs(symbol) <= 100 for symbol in symbols])
    ratio = found[far] / before[far]
    assert ratio.max() < 1.1 * ratio.min()
    assert ratio.min() > 1.5


@pytest.mark.parametrize("scale", [0.02, 1.0, 20.0])
def test_bits_of_histograms_are_what_the_coder_spends(histograms: HistogramTables, scale: float) -> None:
    """Escaped symbols among them: each table gets symbols of three times its magnitude, and some far beyond."""
    random = torch.Generator().manual_seed(3)
    index = histograms.index(torch.full((20_000,), scale))
    symbols = (torch.randn(20_000, generator=random) * 3 * scale).round().long()
    symbols[:100] = (torch.linspace(14, 900, 100) * max(1.0, scale)).long()
    data = rans.encode(symbols.tolist(), index.tolist(), histograms.tables())
    assert histograms.bits(symbols, index).sum().item() == pytest.approx(8 * len(data), abs=4 * 100)  # of the escaped


def test_the_chosen_symbol_is_the_cheaper_of_the_nearest_two(histograms: HistogramTables) -> None:
    random = torch.Generator().manual_seed(4)
    wanted = torch.randn(2000, generator=random) * 3
    index = torch.randint(30, CLASSES, (2000,), generator=random)
    for error_bits in (0.0, 0.5, 4.0, 1e6):
        found = histograms.chosen(wanted, index, error_bits)
        nearest = wanted.round().long()
        smaller = nearest - nearest.sign()
        cost, other = (
            error_bits * (wanted - each).square() + histograms.bits(each, index) for each in (nearest, smaller)
        )
        assert torch.equal(found, torch.where(other < cost, smaller, nearest))
    assert torch.equal(found, wanted.round().long())  # an error that costs so much decides alone
    assert histograms.chosen(torch.tensor([math.nan, math.inf, -math.inf]), index[:3], 1e9).tolist() == [
        2**24,
        2**24,
        -(2**24),
    ]


def normal(limit: float) -> float:
    return (1 + math.erf(limit / math.sqrt(2))) / 2


@pytest.mark.parametrize(("distance", "deviation"), [(0.0, 1.0), (0.3, 1.0), (-2.0, 0.7), (5.0, 3.0), (-40.0, 100.0)])
def test_a_gaussian_symbol_costs_the_share_of_its_unit_interval(distance: float, deviation: float) -> None:
    share = normal((distance + 0.5) / deviation) - normal((distance - 0.5) / deviation)
    found = GaussianTables().bits(torch.tensor(distance), torch.tensor(math.log2(deviation)))
    assert found.item() == pytest.approx(-math.log2(share), rel=1e-4)


def test_a_gaussian_is_never_narrower_than_the_first_table_and_never_costs_more_than_30_bits() -> None:
    tables = GaussianTables()
    narrow = tables.bits(torch.tensor(0.5), torch.tensor([-20.0, math.log2(0.11)]))
    assert narrow[0] == narrow[1] == pytest.approx(1.0, abs=1e-3)
    assert tables.bits(torch.tensor(1e4), torch.tensor(0.0)).item() == pytest.approx(-math.log2(1e-9), rel=1e-5)


def test_gaussian_tables_go_from_the_smallest_deviation_to_256_by_equal_factors(gaussian: GaussianTables) -> None:
    numbers = torch.arange(SCALES)
    log2 = gaussian.log2_deviation(numbers.double())
    assert 2 ** log2[0].item() == pytest.approx(0.11)
    assert 2 ** log2[-1].item() == pytest.approx(256)
    assert log2.diff().max().item() == pytest.approx(log2.diff().min().item())
    step = log2[1] - log2[0]
    for shift in (-0.49, 0.0, 0.49):
        assert torch.equal(gaussian.index(log2 + shift * step), numbers)
    assert gaussian.index(torch.tensor([-50.0, 50.0])).tolist() == [0, SCALES - 1]


@pytest.mark.parametrize("number", [0, 10, 20, 35, 50, 63])
def test_a_gaussian_table_has_the_deviation_that_it_stands_for(gaussian: GaussianTables, number: int) -> None:
    tables, deviation = gaussian.tables(), 0.11 * 2 ** (number * math.log2(256 / 0.11) / 63)
    symbols, shares = chances(tables, number)
    assert symbols[-1] == -symbols[0] == max(1, math.ceil(6 * deviation))
    middle = symbols[-1]
    assert shares[middle].item() == pytest.approx(2 * normal(0.5 / deviation) - 1, rel=0.05)
    second = sum(symbol**2 * share for symbol, share in zip(symbols, shares.tolist(), strict=True))
    if 0.5 < deviation < 20:  # others are hidden by rounding, or by the least share that a symbol can have
        assert second == pytest.approx(deviation**2 + 1 / 12, rel=0.05)
