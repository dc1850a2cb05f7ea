import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fpnkit.foundation import text
from fpnkit.runs import table
from fpnkit.runs.store import COLUMNS


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2.5e-4, "2.5e-4"), (5e-5, "5e-5"), (1.25e-3, "1.25e-3"), (1.0, "1e0"), (None, "-"), (math.nan, "nan")],
)
def test_rates(value, shown):
    assert text.rate(value) == shown


@given(st.floats(1e-300, 1e300))
def test_a_rate_keeps_three_digits(value):
    assert math.isclose(float(text.rate(value)), value, rel_tol=0.0051)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (3599.6, "1h00m"),
        (754, "12m34s"),
        (11_520, "3h12m"),
        (446_400, "5d04h"),
        (math.inf, "-"),
        (None, "-"),
    ],
)
def test_durations(seconds, shown):
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678, "12 MB"),
        (5 * 10**15, "5000 TB"),
        (None, "-"),
    ],
)
def test_sizes(count, shown):
    assert text.size(count) == shown


@given(st.text())
def test_printable_text_has_nothing_that_a_terminal_would_obey(anything):
    assert text.printable(anything).isprintable()


@given(st.text().filter(str.isprintable))
def test_printable_text_is_shown_as_it_is(plain):
    assert text.printable(plain) == plain


def test_the_table_knows_only_columns_that_exist():
    named = set(table.HEADERS) | table._RIGHT | set(table._FORMATS) | set(table._CORE) | set(table._MORE)
    assert named <= set(COLUMNS)


@example("🏻", 2)  # a skin tone without the face it belongs to, which some ways of measuring lose
@given(st.text().filter(str.isprintable), st.integers(2, 20))
def test_texts_are_cut_and_parted_to_fit_a_terminal(plain, columns):
    assert text.width(text.cut(plain, columns)) <= columns
    assert text.cut(plain, text.width(plain) + 1) == plain
    parts = text.chunks(plain, columns)
    assert "".join(parts) == plain
    assert all(text.width(part) <= columns for part in parts)


def test_an_east_asian_character_takes_two_columns():
    assert (text.width("漢字x"), text.cut("漢字x", 4), text.chunks("漢字x", 3)) == (5, "漢…", ["漢", "字x"])
