import json
import resource
import shutil
from pathlib import Path

import pytest

from fpnkit.errors import RunError
from fpnkit.runs.store import list_runs
from fpnkit.widgets.runs.browser import MOST_SHOWN, RunBrowser
from tests.support.fake_runs import write_runs
from tests.support.panel_tools import opened
from tests.support.run_processes import start_trainer, until

DETAILS, COMPARE, NOTES, MOVES = range(4)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_runs(tmp_path / "runs", 12, lines=6)
    return tmp_path / "runs"


def paths(browser: RunBrowser) -> list[Path]:
    return [path for _, path in browser.choice.options]


def names(base: Path) -> list[str]:
    return sorted((path.name for path in base.glob("run_*")), reverse=True)


def without_note(base: Path) -> Path:
    return next(path for path in sorted(base.glob("run_*")) if not (path / "note.md").exists())


def test_runs_are_listed_newest_first_and_the_newest_is_shown(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.raise_failures()
    assert [path.name for path in paths(browser)] == names(base)
    assert browser.run.path == base / names(base)[0]
    assert names(base)[0] in browser.details.value
    assert "12 runs" in browser.count.value


def test_a_label_says_what_tells_runs_apart(base: Path) -> None:
    info = next(info for info in list_runs(base) if info.status == "finished")
    browser = opened(RunBrowser(base))
    label = next(label for label, path in browser.choice.options if path == info.path)
    assert info.created is not None
    parts = label.split(" · ")
    assert parts[0] == info.created.astimezone().strftime("%Y-%m-%d %H:%M")
    assert float(parts[1].removeprefix("λ ")) == info.lmbda
    assert parts[2:6] == ["lr 5e-5", "bs 4", "factorized", "✔ finished"]
    assert float(parts[6].removeprefix("loss ")) == pytest.approx(info.best_loss, rel=1e-3)
    assert parts[7:9] == [f"for {info.detector}", f"on {info.dataset}"]


def test_refresh_finds_new_runs_and_keeps_what_is_chosen(base: Path, tmp_path: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.choice.value = chosen = paths(browser)[5]
    details = browser.details.value
    write_runs(tmp_path / "more", 15)
    newest = max((tmp_path / "more").iterdir())
    shutil.move(newest, base)
    browser.reload.click()
    browser.finish()
    browser.raise_failures()
    assert browser.choice.value == chosen
    assert browser.details.value == details
    assert paths(browser)[0].name == newest.name


def test_search_status_query_and_order_narrow_the_list(base: Path) -> None:
    browser = opened(RunBrowser(base))
    infos = list_runs(base)
    browser.status.value = "finished"
    assert set(paths(browser)) == {info.path for info in infos if info.status == "finished"}
    browser.query.value = "lmbda < 1e-3"
    expected = {info.path for info in infos if info.status == "finished" and info.lmbda < 1e-3}
    assert set(paths(browser)) == expected
    browser.order.value = "smallest loss first"
    losses = {info.path: info.best_loss for info in infos}
    assert [losses[path] for path in paths(browser)] == sorted(losses[path] for path in expected)
    browser.status.value, browser.query.value = "any status", ""
    browser.search.value = "PAPER 2.5e-4"
    assert {path.name for path in paths(browser)} == {
        info.name for info in infos if "paper" in info.tags and info.lmbda == 2.5e-4
    }
    assert paths(browser)
    browser.raise_failures()


def test_a_wrong_query_is_said_in_place_and_the_list_stays(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.query.value = "lamda < 1"
    assert str(browser.failures["filter"]).startswith("query 'lamda < 1': column 'lamda' is unknown")
    assert len(paths(browser)) == 12
    browser.query.value = "lmbda < 1"
    browser.raise_failures()


def test_of_many_matches_the_first_are_shown(tmp_path: Path) -> None:
    write_runs(tmp_path, MOST_SHOWN + 30)
    browser = opened(RunBrowser(tmp_path))
    assert [path.name for path in paths(browser)] == names(tmp_path)[:MOST_SHOWN]
    assert "200 of 230 shown" in browser.count.value
    oldest = names(tmp_path)[-1]
    browser.search.value = oldest
    assert [path.name for path in paths(browser)] == [oldest]


def test_a_run_deleted_while_it_is_shown_is_said_in_place(base: Path) -> None:
    browser = opened(RunBrowser(base))
    gone = paths(browser)[0]
    shutil.rmtree(gone)
    browser.tabs.selected_index = COMPARE
    browser.tabs.selected_index = DETAILS
    assert [str(error) for error in browser.failures.values()] == [f"{gone}: not a run directory"]
    browser.reload.click()
    browser.finish()
    browser.raise_failures()
    assert browser.choice.value is None  # not the next one, which might be taken for it
    assert "Choose a run above" in browser.details.value
    assert len(paths(browser)) == 11


@pytest.mark.parametrize("named", [False, True])  # notebooks name the usual directory
def test_no_runs_yet_is_no_failure(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    browser = opened(RunBrowser(tmp_path / "checkpoints" / "fpn_compression" if named else None))
    browser.raise_failures()
    assert "There are no runs yet." in browser.details.value
    assert "python -m fpnkit.sweep --config" in browser.details.value
    for tab in (COMPARE, NOTES, MOVES):
        browser.tabs.selected_index = tab
    browser.raise_failures()
    with pytest.raises(RunError, match=r"^no run is chosen$"):
        _ = browser.run
    write_runs(tmp_path / "checkpoints" / "fpn_compression", 1)
    browser.reload.click()
    browser.finish()
    assert len(paths(browser)) == 1


def test_a_missing_directory_is_said_in_place_and_may_appear_later(base: Path) -> None:
    moved = base.with_name("elsewhere")
    browser = opened(RunBrowser(moved))
    assert {key: str(error) for key, error in browser.failures.items()} == {
        "refresh": f"base directory {moved}: does not exist"
    }
    base.rename(moved)
    browser.reload.click()
    browser.finish()
    browser.raise_failures()
    assert len(paths(browser)) == 12


def test_what_the_disk_refuses_is_said_in_place_and_stays_typed(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.choice.value = run = without_note(base)
    browser.tabs.selected_index = NOTES
    browser.notes.note.value = "mine"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # unlike rights, it holds for root too
    try:
        browser.notes.button.click()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(browser.failures["save note and tags"]) == f"{run / 'note.md'}: could not be written: File too large"
    assert browser.notes.note.value == "mine"
    browser.notes.button.click()
    browser.raise_failures()
    assert (run / "note.md").read_text() == "mine\n"


def test_note_and_tags_are_saved_and_shown_in_the_list(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.choice.value = run = without_note(base)
    browser.tabs.selected_index = NOTES
    browser.notes.note.value, browser.notes.tags.value = "small objects\nmissing", "paper, figure 3"
    browser.notes.button.click()
    browser.raise_failures()
    assert (run / "note.md").read_text() == "small objects\nmissing\n"
    assert json.loads((run / "tags.json").read_text()) == ["paper", "figure 3"]
    browser.reload.click()
    browser.finish()
    assert next(info for info in browser.runs if info.path == run).tags == ("paper", "figure 3")
    browser.notes.tags.value = "figure 3"
    browser.notes.button.click()
    assert json.loads((run / "tags.json").read_text()) == ["figure 3"]


def test_what_was_typed_survives_a_refresh_and_is_not_saved_over_another_note(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.choice.value = run = without_note(base)
    browser.tabs.selected_index = NOTES
    browser.notes.note.value = "mine"
    (run / "note.md").write_text("a colleague's\n")
    browser.reload.click()
    browser.finish()
    assert browser.notes.note.value == "mine"
    browser.notes.button.click()
    assert str(browser.failures["save note and tags"]) == (
        f"{run / 'note.md'}: was changed elsewhere in the meantime; read it again, then save"
    )
    assert (run / "note.md").read_text() == "a colleague's\n"


def test_several_runs_are_drawn_and_compared(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.tabs.selected_index = COMPARE
    browser.finish()
    alone = browser.compare.picture.value
    assert alone[:4] == b"\x89PNG"
    first, second = list_runs(base)[:2]
    browser.compare.others.value = (second.path,)
    browser.raise_failures()
    assert browser.compare.picture.value != alone
    assert "loss.lambda" in browser.compare.table.value
    assert str(first.lmbda) in browser.compare.table.value
    assert str(second.lmbda) in browser.compare.table.value
    drawn = browser.compare.picture.value
    browser.compare.key.value = "snr_db.p3"
    browser.finish()
    assert browser.compare.picture.value != drawn
    assert "SNR p3 (dB)" in browser.compare.picture.words
    light = browser.compare.picture.value
    browser.dark.value = True
    browser.finish()
    assert browser.compare.picture.value != light
    browser.raise_failures()


def test_the_chosen_run_is_told_first_and_a_click_on_a_curve_chooses_its_run(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.tabs.selected_index = COMPARE
    first, second = (info.path for info in list_runs(base)[:2])
    browser.compare.others.value = (first, second)
    browser.choice.value = first
    browser.finish()
    keys = {key: group for *_, key, group in browser.compare.picture.pointer.spots}
    assert keys.keys() == {str(first), str(second)}
    before, table = browser.compare.picture.value, browser.compare.table.value
    browser.compare.picture.pointer.chosen = str(second)
    browser.finish()
    assert browser.choice.value == second
    assert browser.table.chosen == str(second)
    assert browser.compare.picture.pointer.chosen == ""
    assert browser.compare.picture.value != before, "its curve is thick now"
    own, other = (browser.compare.table.value.rindex(keys[str(run)]) for run in (second, first))
    assert own < other
    assert table.rindex(keys[str(second)]) > table.rindex(keys[str(first)])
    browser.raise_failures()


def test_a_run_goes_to_the_trash_and_back_only_when_asked(base: Path) -> None:
    browser = opened(RunBrowser(base))
    info = next(info for info in list_runs(base) if info.status == "finished")
    browser.choice.value = info.path
    browser.tabs.selected_index = MOVES
    moves = browser.moves
    moves.trash_button.click()
    assert info.path.is_dir()
    assert info.name in moves.confirmation.question.value
    moves.confirmation.no.click()
    assert info.path.is_dir()
    moves.trash_button.click()
    moves.confirmation.yes.click()
    browser.raise_failures()
    assert not info.path.exists()
    assert info.path not in paths(browser)
    assert browser.choice.value is None
    assert "in the trash" in moves.said.value
    moves.trashed.value = moves.trashed.options[0][1]
    moves.restore_button.click()
    browser.raise_failures()
    assert info.path in paths(browser)


def test_the_best_of_its_lambda_is_warned_about(base: Path) -> None:
    browser = opened(RunBrowser(base))
    ended = [info for info in list_runs(base) if info.status == "finished" and info.lmbda == 1e-4]
    best = min(ended, key=lambda info: info.best_loss or 0.0)
    worst = max(ended, key=lambda info: info.best_loss or 0.0)
    browser.tabs.selected_index = MOVES
    asked = {}
    for info in (best, worst):
        browser.choice.value = info.path
        browser.moves.trash_button.click()
        asked[info.path] = browser.moves.confirmation.question.value
    assert "It has the best loss of lambda 1e-4" in asked[best.path]
    assert "best loss" not in asked[worst.path]


def test_a_question_is_taken_back_when_another_run_is_chosen(base: Path) -> None:
    browser = opened(RunBrowser(base))
    browser.choice.value = first = next(info for info in list_runs(base) if info.status == "finished").path
    browser.tabs.selected_index = MOVES
    browser.moves.trash_button.click()
    browser.choice.value = next(path for path in paths(browser) if path != first)
    browser.moves.confirmation.yes.click()
    assert len(names(base)) == 12


def test_a_run_is_archived(base: Path) -> None:
    browser = opened(RunBrowser(base))
    info = next(info for info in list_runs(base) if info.status == "finished")
    browser.choice.value = info.path
    browser.tabs.selected_index = MOVES
    browser.moves.archive_button.click()
    browser.moves.confirmation.yes.click()
    browser.raise_failures()
    assert not info.path.exists()
    assert (base / "archive" / f"{info.name}.tar.gz").stat().st_size > 0
    assert f"{info.name}.tar.gz" in browser.moves.said.value


def test_a_running_run_is_not_moved(tmp_path: Path) -> None:
    process, path = start_trainer("create", tmp_path)
    try:
        browser = opened(RunBrowser(tmp_path))
        assert "▶ running" in browser.choice.label
        browser.tabs.selected_index = MOVES
        browser.moves.trash_button.click()
        assert str(browser.failures["move to the trash"]) == f"{path.name}: is running; stop it first"
        assert not browser.moves.confirmation.asking
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    browser.reload.click()
    browser.finish()
    assert "✖ killed" in browser.choice.label


def test_names_and_notes_are_never_html(tmp_path: Path) -> None:
    (run,) = write_runs(tmp_path, 1)
    evil = "<img src=x onerror=alert(1)>"
    (run / "note.md").write_text(evil)
    run.rename(tmp_path / f"run_{evil}")
    browser = opened(RunBrowser(tmp_path))
    browser.tabs.selected_index = COMPARE
    browser.finish()
    browser.tabs.selected_index = MOVES
    browser.moves.trash_button.click()
    shown = [browser.details.value, browser.compare.table.value, browser.moves.confirmation.question.value]
    assert [text for text in shown if "<img" in text or "&lt;img" not in text] == []


def test_a_run_that_ends_is_seen_by_the_next_refresh(tmp_path: Path) -> None:
    process, path = start_trainer("create", tmp_path)
    browser = opened(RunBrowser(tmp_path))
    (path / "STOP").touch()
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    until(lambda: (browser.reload.click(), browser.finish(), "■ stopped" in browser.choice.label)[2])
    browser.raise_failures()
