"""Files that are made to hurt: whatever they hold, they are read in no time, with one problem that names the line."""

import pytest

from fpnkit.config.load import parse_override
from fpnkit.config.yaml import parse
from fpnkit.errors import ConfigError

DEEP = "required at most 40 levels, found more"
MANY = "required at most 20,000 values, aliases written out, found more"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (LAUGHS, 1, MANY),
        ("a: &a\n  b: *a\n", 1, DEEP),
        ("x: 1\na: &a [*a]\n", 2, DEEP),
        ("a:\n  " + "[" * 200 + "]" * 200 + "\n", 2, DEEP),
        ("a: " + "[" * 100_000, 1, DEEP),
        ("a: " + "1" * 1_000_000, 1, "required at most 1,000,000 characters, found 1,000,003"),
    ],
    ids=["nine levels of nine aliases", "itself", "a list of itself", "200 brackets", "100,000 brackets", "a megabyte"],
)
def test_what_grows_or_nests_without_end_is_one_problem(text: str, line: int, problem: str) -> None:
    assert parse(text).problems == [(line, problem)]


def test_a_number_of_thousands_of_digits_is_one_too() -> None:
    ((line, problem),) = parse("x: 1\na: " + "1" * 5000 + "\n").problems
    assert (line, problem.partition(":")[0]) == (2, "not a plain value")


def test_an_alias_is_still_an_alias() -> None:
    assert parse("a: &a {b: 1}\nc: *a\n").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_so_is_a_setting_of_the_command_line() -> None:
    with pytest.raises(ConfigError) as error:
        parse_override("a.b=" + "[" * 100_000)
    shown = "a.b=" + "[" * 195 + "…"
    assert str(error.value) == f"--set {shown}: the value is not YAML: {DEEP}"
