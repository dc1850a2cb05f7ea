"""The browser of runs while it reads, compares and archives: nothing is held up, nothing happens twice."""

from pathlib import Path

import pytest

from fpnkit.runs import archive
from fpnkit.runs.index import RunIndex
from fpnkit.runs.store import RunInfo, list_runs
from fpnkit.widgets.runs.browser import RunBrowser
from fpnkit.widgets.runs.compare import Run
from tests.support.fake_runs import write_runs
from tests.support.panel_tools import Held, before, click, opened
from tests.support.run_processes import until

COMPARE, MOVES = 1, 3


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_runs(tmp_path / "runs", 12, lines=6)
    return tmp_path / "runs"


def hold_archive(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is packed and not compared yet."""
    monkeypatch.setattr(archive, "_check", before(held, archive._check))


def ended(base: Path) -> list[RunInfo]:
    return [info for info in list_runs(base) if info.status == "finished"]


def archiving(browser: RunBrowser, run: Path) -> None:
    browser.choice.value = run
    browser.tabs.selected_index = MOVES
    click(browser.moves.archive_button)
    click(browser.moves.confirmation.yes)


def test_the_first_look_holds_nothing_up_and_what_is_typed_meanwhile_counts(
    base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RunIndex.read
    monkeypatch.setattr(
        RunIndex,
        "read",
        lambda self, tell: read(self, lambda step: (tell(step), held())),  # type: ignore[arg-type, func-returns-value]
    )
    browser = RunBrowser(base)
    assert held.reached()
    until(lambda: ">looking at run<" in browser._reading.said and "1 of 12" in browser._reading.said)
    browser.status.value = "finished"
    held.go()
    browser.raise_failures()
    assert {path for _, path in browser.choice.options} == {info.path for info in ended(base)}
    assert browser.run.path == browser.matches[0].path


def test_the_run_waits_until_the_first_are_read(base: Path) -> None:
    assert RunBrowser(base).run.path == list_runs(base)[0].path


def test_runs_are_compared_in_the_background_and_the_last_choice_counts(
    base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = opened(RunBrowser(base))
    browser.tabs.selected_index = COMPARE
    browser.raise_failures()
    first = browser.compare.picture.value
    read, names = Run.metrics, list[str]()
    monkeypatch.setattr(Run, "metrics", before(held, lambda run: (names.append(run.path.name), read(run))[1]))
    paths = [path for _, path in browser.choice.options]
    browser.compare.others.value = tuple(paths[1:9])
    assert held.reached()
    until(lambda: ">reading run<" in browser.compare._reading.said and "1 of 9" in browser.compare._reading.said)
    assert browser.compare.picture.value == first
    browser.compare.others.value = (paths[3],)
    browser.search.value = "paper"  # other controls answer
    browser.search.value = ""
    held.go()
    browser.raise_failures()
    assert names == [paths[0].name, paths[0].name, paths[3].name]  # the first selection ended after one run
    assert browser.compare.picture.value != first


def test_a_run_that_is_archived_is_left_alone_by_all_panels(
    base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_archive(held, monkeypatch)
    browser, other = opened(RunBrowser(base)), opened(RunBrowser(base))
    run, second = (info.path for info in ended(base)[:2])
    archiving(browser, run)
    assert held.reached()
    until(lambda: ">packing<" in browser.moves._archiving.said)
    browser.moves.confirmation.yes.click()  # a second answer to one question
    other.choice.value = run
    other.tabs.selected_index = MOVES
    assert other.moves.trash_button.disabled
    other.moves.trash_button.click()
    assert str(other.failures["move to the trash"]) == f"{run.name}: is being archived"
    browser.choice.value = second
    assert not browser.moves.trash_button.disabled
    assert browser.moves.archive_button.disabled
    browser.moves.archive_button.click()
    browser.moves.confirmation.yes.click()
    told = f"{second.name}: {run.name} is being archived; wait until it is"
    assert str(browser.failures["archive"]) == told
    held.go()
    browser.finish()
    assert not run.exists()
    assert second.exists()
    assert [file.name for file in (base / "archive").iterdir()] == [f"{run.name}.tar.gz"]
    assert f"{run.name}.tar.gz" in browser.moves.said.value
    assert not browser.moves.archive_button.disabled
    assert held.entered == 1


def test_closing_the_panel_does_not_stop_archiving(base: Path, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_archive(held, monkeypatch)
    browser = opened(RunBrowser(base))
    run = ended(base)[0].path
    archiving(browser, run)
    assert held.reached()
    browser.close()
    assert run.exists()
    held.go()
    browser.finish()
    assert not run.exists()
    assert [file.name for file in (base / "archive").iterdir()] == [f"{run.name}.tar.gz"]


def test_what_stops_archiving_is_shown_and_the_run_stays(
    base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_archive(held, monkeypatch)
    browser = opened(RunBrowser(base))
    run = ended(base)[0].path
    archiving(browser, run)
    assert held.reached()
    (run / "run.json").write_text("{}")
    held.go()
    browser.finish()
    assert str(browser.failures["archive"]) == f"{run / 'run.json'}: changed while it was archived; nothing was removed"
    assert run.exists()
    assert list((base / "archive").iterdir()) == []
    assert not browser.moves.archive_button.disabled
