"""The table of runs, by what it sends to the page."""

from datetime import timedelta
from pathlib import Path

import pytest

from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common.table import PAGE
from fpnkit.widgets.runs.browser import MOST_SHOWN, RunBrowser
from fpnkit.widgets.runs.table import COLUMNS, RunTable
from tests.support.fake_runs import START, write_runs
from tests.support.panel_tools import opened

BASE = Path("/runs")


def run(number: int, **facts: object) -> RunInfo:
    name = f"run_{number:05}"
    return RunInfo(name, BASE / name, "finished", created=START + timedelta(minutes=number), **facts)


def cells(table: RunTable, key: str) -> list[str]:
    at = [column.key for column in COLUMNS].index(key)
    return [row["name"] if at == 0 else row["cells"][at - 1] for row in table.rows]


def test_every_page_has_the_next_runs_and_together_they_have_all() -> None:
    table, runs = RunTable(), [run(number) for number in range(2 * PAGE + 3)]
    table.show(runs)
    seen = []
    for page in range(table.pages):
        table.page = page
        seen += [row["id"] for row in table.rows]
    assert seen == [str(each.path) for each in runs]
    assert (table.pages, table.place) == (3, "51 to 53 of 53")


def test_a_page_that_is_gone_becomes_the_last() -> None:
    table = RunTable()
    table.show([run(number) for number in range(2 * PAGE + 3)])
    table.page = 2
    table.show([run(number) for number in range(PAGE + 1)])
    assert (table.page, table.place) == (1, "26 to 26 of 26")
    table.show([])
    assert (table.page, table.pages, table.rows, table.place) == (0, 1, [], "no runs")


def test_numbers_are_sorted_as_numbers_and_what_is_unknown_comes_last_both_ways() -> None:
    table = RunTable()
    table.show([run(0, bpp=10.0), run(1), run(2, bpp=9.0), run(3, bpp=float("nan")), run(4, bpp=0.5)])
    table.sort = "bpp"
    assert cells(table, "bpp") == ["0.5", "9", "10", "-", "nan"]
    table.descending = True
    assert cells(table, "bpp") == ["10", "9", "0.5", "-", "nan"]
    table.sort = ""
    assert cells(table, "bpp") == ["10", "-", "9", "nan", "0.5"]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
def test_every_column_can_be_sorted_with_gaps_in_it(column) -> None:
    full = {"map": 0.2, "bpp": 0.1, "share_of_ceiling": 0.9, "codec": "b", "detector": "d", "dataset": "s"}
    full |= {"lmbda": 1e-3, "best_loss": 2.0, "duration_seconds": 60.0, "note": "n"}
    table = RunTable()
    table.show([run(0), run(1, **full), run(2, **full | {"codec": "A", "map": 0.1})])
    table.sort = column.key
    assert len(table.rows) == 3
    assert cells(table, "codec").index("-") == (0 if column.key in ("created", "status") else 2)


def test_ten_thousand_runs_send_one_page() -> None:
    table = RunTable()
    table.show([run(number, bpp=number / 7) for number in range(10_000)])
    table.sort, table.descending = "bpp", True
    assert (len(table.rows), table.pages, table.place) == (PAGE, 400, "1 to 25 of 10,000")
    assert cells(table, "created")[0] == "run_09999"
    table.turn_to(run(0))
    assert (table.page, cells(table, "created")[-1]) == (399, "run_00000")


def test_what_is_chosen_in_one_is_chosen_in_the_other(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", MOST_SHOWN + 30)
    browser = opened(RunBrowser(tmp_path / "runs"))
    beyond = browser.matches[-1].path  # the drop-down does not offer it
    assert beyond not in dict(browser.choice.options).values()
    browser.table.chosen = str(beyond)
    assert browser.choice.value == beyond
    assert beyond.name in browser.details.value
    second = browser.matches[1].path
    browser.choice.value = second
    assert browser.table.chosen == str(second)
    assert browser.table.page == 0
    browser.raise_failures()


def test_what_is_marked_in_one_is_marked_in_the_other_and_stays(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", 12)
    browser = opened(RunBrowser(tmp_path / "runs"))
    first, second, third = (info.path for info in browser.matches[1:4])
    browser.table.marked = [str(first), str(third)]
    assert set(browser.compare.others.value) == {first, third}
    browser.compare.others.value = (second,)
    assert browser.table.marked == [str(second)]
    browser.reload.click()
    browser.finish()
    assert browser.table.marked == [str(second)]
    assert browser.compare.others.value == (second,)
    browser.raise_failures()


def test_marks_of_runs_that_a_search_hides_stay(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", 12)
    browser = opened(RunBrowser(tmp_path / "runs"))
    hidden, shown = browser.matches[1], browser.matches[2]
    browser.table.marked = [str(hidden.path)]
    browser.search.value = shown.name[4:19]
    assert [info.path for info in browser.matches] == [shown.path]
    browser.compare.others.value = (shown.path,)
    assert browser.table.marked == [str(hidden.path), str(shown.path)]
    browser.search.value = ""
    assert {each.path for each in browser.table.marked_items} == {hidden.path, shown.path}
    browser.raise_failures()


def test_the_order_that_was_chosen_last_counts(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", 12)
    browser = opened(RunBrowser(tmp_path / "runs"))
    browser.table.sort = "best_loss"
    assert cells(browser.table, "created")[0] != browser.matches[0].name[4:19]
    browser.order.value = "largest first"
    largest = max(browser.runs, key=lambda info: info.size_bytes or 0)
    assert cells(browser.table, "created")[0] == largest.name[4:19]
    browser.raise_failures()
