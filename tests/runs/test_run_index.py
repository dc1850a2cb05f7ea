import shutil

import pytest

from fpnkit.foundation import clock
from fpnkit.runs import index as index_module
from fpnkit.runs import store
from fpnkit.runs.index import RunIndex
from fpnkit.runs.store import list_runs
from tests.support.run_dirs import ODD_NAMES, write_run, write_summary

GONE = {"exit_code": None, "exit_reason": None, "host": "gpu7", "heartbeat": "2026-12-16T14:30:22+01:00"}


@pytest.fixture
def read(monkeypatch):
    """Names of the runs whose files were read."""
    names: list[str] = []
    real = store._read_run
    monkeypatch.setattr(store, "_read_run", lambda path, now: (names.append(path.name), real(path, now))[1])
    return names


def test_an_ended_run_is_read_again_only_when_its_files_change(base, read):
    for name in ("run_same", "run_noted", "run_tagged", "run_moved", "run_measured", "run_evaluated", "run_new"):
        write_run(base, name)
    write_run(base, "run_stale", **GONE)
    write_run(base, "run_alive", **GONE | {"heartbeat": clock.to_text(clock.now())})
    write_summary(base / "run_evaluated", bpp=0.5)
    index = RunIndex(base)
    assert {run.name for run in index.read()} == set(read)
    read.clear()
    (base / "run_noted" / "note.md").write_text("by hand")
    (base / "run_tagged" / "tags.json").write_text('["paper"]')
    record = base / "run_moved" / "run.json"
    record.write_text(record.read_text().replace('"epoch": 0', '"epoch": 2'))
    (base / "run_measured" / "metrics.jsonl").touch()
    summary = base / "run_evaluated" / "evaluation" / "shapes" / "0123abcd" / "summary.json"
    summary.write_text(summary.read_text().replace('"bpp": 0.5', '"bpp": 0.125'))
    write_summary(base / "run_new", bpp=0.25)
    after = {run.name: run for run in index.read()}
    changed = {"run_noted", "run_tagged", "run_moved", "run_measured", "run_evaluated", "run_new"}
    assert sorted(read) == sorted(changed | {"run_alive"})  # the status of which may change by itself
    assert (after["run_noted"].note, after["run_tagged"].tags, after["run_moved"].epoch) == ("by hand", ("paper",), 2)
    assert (after["run_evaluated"].bpp, after["run_new"].bpp) == (0.125, 0.25)


def test_what_is_known_is_listed_like_what_is_read(base):
    write_run(base, "run_a")
    (base / "train.log").write_text("epoch 1 loss 0.5\n")
    (base / "notes").mkdir()
    (base / "run_broken").mkdir()
    index = RunIndex(base)
    for _ in range(2):  # the second time from what is known
        assert index.read() == list_runs(base)


def test_a_state_changes_with_the_files_and_with_the_status(base):
    path, other = write_run(base, "run_a"), write_run(base, "run_b")
    index = RunIndex(base)
    index.read()
    before = index.states()
    assert set(before) == {path, other}
    index.read()
    assert index.states() == before
    (path / "metrics.jsonl").touch()
    index.read()
    assert {run for run, state in index.states().items() if state != before[run]} == {path}


@pytest.fixture
def remembering(monkeypatch, tmp_path):
    """The folder of memories, in which even one run is worth keeping."""
    monkeypatch.setattr(index_module, "_WORTH_KEEPING", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fpnkit" / "runs"


def test_the_next_process_reads_only_what_has_changed(base, read, remembering):
    for name in ("run_same", "run_noted", "run_gone", "run_evaluated"):
        write_run(base, name)
    write_summary(base / "run_evaluated", bpp=0.5)
    write_run(base, "run_stale", **GONE)
    first = RunIndex(base).read()
    (base / "run_noted" / "note.md").write_text("by hand")
    shutil.rmtree(base / "run_gone")
    write_summary(base / "run_evaluated", dataset="others", bpp=0.25)
    read.clear()
    again = RunIndex(base).read()
    assert sorted(read) == ["run_evaluated", "run_noted"]
    assert again == list_runs(base)
    kept = {"run_same", "run_stale"}
    assert [run for run in again if run.name in kept] == [run for run in first if run.name in kept]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"shape":"', '"shape":"other '),
        lambda text: text.replace('"host":"', '"host":"not_'),
        lambda text: text.replace('"watched":[', '"watched":["x",'),
        lambda text: "[" * 100_000,
    ],
)
def test_a_memory_that_cannot_be_used_is_none(base, read, remembering, spoil):
    write_run(base, "run_a")
    RunIndex(base).read()
    (file,) = remembering.iterdir()
    assert spoil(file.read_text()) != file.read_text()
    file.write_text(spoil(file.read_text()))
    read.clear()
    assert RunIndex(base).read() == list_runs(base)
    assert read == ["run_a", "run_a"]  # by the index, and by the list that it is compared with


def test_a_memory_that_cannot_be_kept_is_none(base, remembering):
    remembering.parent.mkdir(parents=True)
    remembering.write_text("a file where the folder should be")
    write_run(base, "run_a")
    for name in ODD_NAMES:
        write_run(base, name)
    assert RunIndex(base).read() == list_runs(base)


def test_odd_names_are_remembered_or_read_again(base, remembering):
    for name in ODD_NAMES:
        write_run(base, name)
    RunIndex(base).read()
    assert RunIndex(base).read() == list_runs(base)
