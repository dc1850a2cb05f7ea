"""Bjontegaard deltas: cases that are known exactly, an integration of our own, and curves that must be refused."""

import numpy as np
import pytest
from bjontegaard import bd_rate
from scipy.interpolate import PchipInterpolator

from fpnkit.metrics.bd import BdResult, Series, bd, refused
from fpnkit.metrics.frontier import dominated_by, frontier

RATES = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
VALUES = np.array([0.10, 0.17, 0.21, 0.23, 0.235])


def series(rates: object, values: object, name: str = "test") -> Series:
    return Series(name, [f"point {index}" for index in range(len(values))], rates, values)


ANCHOR = series(RATES, VALUES, "anchor")


@pytest.mark.parametrize(("factor", "percent"), [(0.5, -50), (2, 100), (1, 0), (0.9, -10)])
def test_a_curve_at_a_constant_share_of_the_rate(factor: float, percent: float) -> None:
    result = bd(ANCHOR, series(RATES * factor, VALUES))
    assert result.bd_rate_percent == pytest.approx(percent, abs=1e-9)
    assert result.overlap == (0.10, 0.235)
    assert result.dropped == ()
    assert result.reason is None


def test_a_curve_that_is_better_by_a_constant() -> None:
    assert bd(ANCHOR, series(RATES, VALUES + 0.02)).bd_metric == pytest.approx(0.02, abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_deltas_equal_an_integration_by_hand(seed: int) -> None:
    """Trapezoids under scipy's own interpolation of the frontier, of scattered points of two rising curves."""
    random = np.random.default_rng(seed)
    first, second = (
        [(rate, 0.3 * rate**power + random.normal(0, 0.01)) for rate in random.uniform(0.02, 1, 9)]
        for power in (0.25, 0.35)
    )
    result = bd(series(*zip(*first, strict=True), name="anchor"), series(*zip(*second, strict=True)), min_points=3)
    fronts = [by_hand_frontier(points) for points in (first, second)]
    assert len(result.dropped) == 18 - sum(map(len, fronts))
    low, high = max(front[0][1] for front in fronts), min(front[-1][1] for front in fronts)
    assert result.overlap == (low, high)
    at = np.linspace(low, high, 20_001)
    a, b = (PchipInterpolator([v for _, v in front], [np.log(r) for r, _ in front])(at) for front in fronts)
    expected = 100 * (np.exp(trapezoids(b - a, at)) - 1)
    assert result.bd_rate_percent == pytest.approx(expected, abs=1e-3)


def trapezoids(values: np.ndarray, at: np.ndarray) -> float:
    return float(((values[1:] + values[:-1]) / 2 * np.diff(at)).sum() / (at[-1] - at[0]))


def by_hand_frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted(p for p in points if not any(q[0] < p[0] and q[1] >= p[1] for q in points))


def test_a_saturating_curve_gives_no_nonsense() -> None:
    """The last point lies below the one before; the library's cubic method makes an absurd saving of it."""
    other = series([0.06, 0.12, 0.24, 0.48], [0.29, 0.34, 0.362, 0.3655], "anchor")
    saturating = series([0.05, 0.1, 0.2, 0.4], [0.30, 0.35, 0.366, 0.365])

    result = bd(other, saturating, min_points=3)

    assert bd_rate(other.rates, other.values, saturating.rates, saturating.values, "cubic", min_overlap=0) < -99.99
    assert result.dropped == ("test: point 3",)
    assert result.bd_rate_percent is not None
    assert -60 < result.bd_rate_percent < -20
    assert result.method == "pchip"
    assert bd(other, saturating).reason == "required 4 points on the increasing frontier, test has 3 of 4"


def test_order_of_points_does_not_matter() -> None:
    order = [3, 0, 4, 1, 2]
    assert bd(series(RATES[order], VALUES[order]), series(RATES / 2, VALUES)).bd_rate_percent == pytest.approx(-50)


def test_too_few_points_on_the_frontier_are_refused() -> None:
    short = series([0.1, 0.2, 0.4, 0.8], [0.1, 0.2, 0.15, 0.3])
    assert bd(ANCHOR, short) == BdResult(
        "anchor",
        "test",
        None,
        None,
        None,
        ("test: point 2",),
        "required 4 points on the increasing frontier, test has 3 of 4",
    )
    assert bd(series([0.1], [0.2], "anchor"), short).reason == (
        "required 4 points on the increasing frontier, anchor has 1"
    )
    assert bd(series([], [], "anchor"), short).reason == "required 4 points on the increasing frontier, anchor has 0"


@pytest.mark.parametrize("shift", [0.2, 0.133])
def test_curves_that_share_no_values_are_refused(shift: float) -> None:
    result = bd(ANCHOR, series(RATES, VALUES + shift))
    assert (result.bd_rate_percent, result.bd_metric, result.overlap) == (None, None, None)
    assert result.reason == (
        "required an overlap of 10 % of the shorter range, "
        f"found anchor 0.1 to 0.235 and test {0.1 + shift:.4g} to {0.235 + shift:.4g}"
    )


@pytest.mark.parametrize(("share", "compared"), [(0.09, False), (0.11, True)])
def test_a_tenth_of_the_shorter_range_must_be_shared_whichever_curve_has_it(share: float, compared: bool) -> None:
    short = np.array([0.10, 0.15, 0.16, 0.20])
    long = 0.20 - 0.1 * share + np.array([0.0, 0.1, 0.2, 0.5])
    for first, second in ((short, long), (long, short)):
        result = bd(series(RATES[:4], first, "anchor"), series(RATES[:4], second))
        assert (result.reason is None) == compared


def test_curves_that_share_no_rates_have_no_difference_at_equal_rate() -> None:
    result = bd(ANCHOR, series(RATES / 100, VALUES))
    assert result.bd_rate_percent == pytest.approx(-99)
    assert result.bd_metric is None
    assert result.reason is None


def test_a_refusal_has_no_numbers() -> None:
    result = refused("jpeg", "factorized", "other images")
    assert (result.bd_rate_percent, result.bd_metric, result.reason) == (None, None, "other images")


def test_frontier_strictly_increases_and_names_what_it_drops() -> None:
    front = frontier([0.4, 0.1, 0.1, 0.2, 0.0, 0.8], [0.3, 0.1, 0.2, 0.2, 0.9, float("nan")])
    assert front.kept == (2, 0)
    assert front.dropped == (1, 3, 4, 5)
    assert front.rates.tolist() == [0.1, 0.4]
    assert front.values.tolist() == [0.2, 0.3]


def test_rate_between_points_is_linear_in_log_rate() -> None:
    front = frontier([0.1, 0.4], [0.2, 0.3])
    assert front.rate_at(0.25) == pytest.approx(0.2)
    assert front.rate_at(0.2) == pytest.approx(0.1)
    assert front.rate_at(0.3) == pytest.approx(0.4)
    assert front.rate_at(0.19) is None
    assert front.rate_at(0.31) is None
    assert frontier([], []).rate_at(0.1) is None


def test_points_that_differ_by_rounding_alone_are_one() -> None:
    front = frontier([0.1, 0.1 * (1 + 1e-15), 0.2], [0.2, 0.3, 0.3 + 1e-15])
    assert front.kept == (1,)


def test_the_point_that_beats_another_is_named() -> None:
    rates, values = [0.1, 0.2, 0.3, 0.3], [0.2, 0.3, 0.25, 0.3]
    assert [dominated_by(index, rates, values) for index in range(4)] == [None, None, 1, 1]
    assert dominated_by(0, [0.1, 0.1], [0.2, 0.2]) is None
    assert dominated_by(2, [0.2, 0.1, 0.3], [0.3, 0.3, 0.2]) == 1  # of equally good ones that of the lowest rate
