"""What `tests.support.mutants` breaks."""

from pathlib import Path

from tests.support.mutants import mutants, sample

CODE = """\
def larger(a: int | None, b: int = 3) -> bool | None:
    rest: float | None = None
    return a > b
"""


def test_operators_and_numbers_are_broken_and_annotations_are_not(tmp_path: Path) -> None:
    path = tmp_path / "larger.py"
    path.write_text(CODE)
    found = mutants(path)
    assert sorted(found) == [(1, 35), (3, 13)]
    codes = [mutant.code() for each in found.values() for mutant in each]
    assert CODE.replace("a > b", "a >= b") in codes
    assert CODE.replace("= 3", "= 4") in codes
    assert CODE not in codes
    assert path.read_text() == CODE


def test_a_sample_is_the_same_each_time_and_begins_alike_for_any_count() -> None:
    once = sample("container", 6, seed=3)
    assert len(set(once)) == 6
    assert sample("container", 3, seed=3) == once[:3]
