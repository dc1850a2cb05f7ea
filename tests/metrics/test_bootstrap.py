"""Intervals: what they are made of, and that they hold what they promise."""

import numpy as np
import pytest

from fpnkit.metrics.bootstrap import interval, map_interval, resamples
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from tests.support.labeled_sets import found, random_set, truth

SQUARE = [10.0, 10.0, 110.0, 110.0]


def test_resamples_draw_as_many_images_as_there_are() -> None:
    weights = resamples(40, count=300)
    assert weights.shape == (300, 40)
    assert (weights.sum(axis=1) == 40).all()
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 40) ** 40, abs=0.01)


def test_resamples_are_the_same_each_time_and_for_any_count() -> None:
    assert np.array_equal(resamples(17, count=50)[:20], resamples(17, count=20))
    assert not np.array_equal(resamples(17, count=20), resamples(17, count=20, seed=1))


def test_interval_holds_the_mean_95_times_in_100() -> None:
    """Means of 50 normal values: a known distribution, in place of a metric."""
    draws = np.random.default_rng(0).normal(3, 1, (400, 50))
    weights = resamples(50, count=400)
    intervals = [interval(weights @ values / 50, values.mean()) for values in draws]
    assert np.mean([low <= 3 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.03)


def test_interval_is_shifted_to_the_estimate() -> None:
    values = np.arange(101.0)
    assert interval(values) == pytest.approx((2.5, 97.5))
    assert interval(values, 40.0) == pytest.approx((-7.5, 87.5))


def test_resamples_without_a_value_are_left_out() -> None:
    assert interval(np.array([np.nan, 2.0, 2.0])) == (2.0, 2.0)
    assert interval(np.array([np.nan, np.nan])) is None


def test_map_interval_holds_the_map_and_is_in_range() -> None:
    matches = match(*random_set(0))
    low, high = map_interval(matches, count=200) or (1, 0)
    assert 0 <= low < average_precision_of(matches).map < high <= 1
    assert 0.03 < high - low < 0.4


def test_map_interval_of_perfect_detections_has_no_width() -> None:
    sure = match([truth(SQUARE, image_id=number) for number in range(1, 21)], [found(SQUARE)] * 20)
    assert map_interval(sure, count=50) == pytest.approx((1, 1))


def test_nothing_labeled_has_no_interval() -> None:
    assert map_interval(match([truth()], [found(SQUARE)]), count=10) is None


def test_fewer_than_20_images_have_no_interval() -> None:
    """One image, drawn again and again, would be an interval of no width: as if nothing were in doubt."""
    few = match([truth(SQUARE, image_id=number) for number in range(1, 20)], [found(SQUARE)] * 19)
    assert map_interval(few, count=50) is None
