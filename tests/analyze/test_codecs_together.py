from pathlib import Path

import pytest

from fpnkit.analysis.across import entries_of
from fpnkit.analysis.statistics.across import rates
from fpnkit.errors import RunError


def test_tables_of_codecs_come_without_a_report(run: Path) -> None:
    before = sorted(run.rglob("*"))
    (entry,) = entries_of([run], count=2)
    assert sorted(run.rglob("*")) == before  # nothing is left in the run
    assert (entry.run, entry.codec) == (run.name, "factorized")
    assert entry.tables["image_bits"]["image"].nunique() == 2
    table = rates([entry])
    assert table["bpp"].sum() == pytest.approx(table["bpp_all"].iloc[0])


def test_a_run_twice_counts_once_and_none_is_refused(run: Path) -> None:
    assert len(entries_of([run, run], count=1)) == 1
    with pytest.raises(RunError, match=r"^runs to compare: required at least one, found none$"):
        entries_of([])
