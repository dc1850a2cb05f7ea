"""The highest quality within a target rate."""

from collections.abc import Sequence

import pytest

from fpnkit.codecs.at_rate import highest_within
from fpnkit.errors import UserError

CURVE = 0.0, 4.0


class Rates:
    """2^quality hundredths of a bpp, in steps as bytes are; counts what is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, qualities: Sequence[float]) -> list[float]:
        self.asked += len(qualities)
        return [int(1000 * 2**quality) / 1e5 for quality in qualities]


@pytest.mark.parametrize("target", [0.01, 0.0123, 0.05, 0.0800001, 0.1599])
def test_it_is_the_last_thousandth_within_the_target(target: float) -> None:
    rates = Rates()
    found = highest_within(rates, CURVE, target, "bpp")
    assert found.rate == rates([found.quality])[0] <= target
    assert rates([found.quality + 0.001])[0] > target
    assert round(found.quality * 1000) / 1000 == found.quality
    assert rates.asked < 25


def test_a_target_above_the_curve_is_its_end() -> None:
    assert highest_within(Rates(), CURVE, 5.0, "bpp").quality == 4.0


def test_a_target_below_the_curve_is_refused_with_the_lowest_rate() -> None:
    with pytest.raises(UserError) as caught:
        highest_within(Rates(), CURVE, 0.005, "KB")
    assert str(caught.value) == "required a target of at least 0.01 KB, the lowest rate, found 0.005 KB"
