import os
import shutil
import threading
from datetime import datetime

import pytest

from fpnkit.errors import RunError
from fpnkit.runs import layout
from fpnkit.runs.record import Best
from fpnkit.runs.store import COLUMNS, list_runs, run_info, runs_frame
from tests.support.fake_trainer import SUMMARY, line
from tests.support.run_dirs import ODD_NAMES, write_run
from tests.support.run_processes import python


def test_a_row_has_what_the_run_says(base):
    path = write_run(
        base,
        "run_a",
        epoch=3,
        epochs=5,
        best=Best(2, 0.5, "best_model.pth", {"bpp_estimated": 0.25}),
        started="2026-12-16T14:30:22.000+01:00",
        ended="2026-12-16T14:31:22.000+01:00",
        seconds_before=40.0,
        size_bytes=1234,
        sweep="s1",
        host="lab",
        settings_hash="0123456789abcdef",
        detector_fingerprint="f" * 64,
    )
    (path / "note.md").write_text("\n# The good one\nmore\n")
    (path / "tags.json").write_text('["paper", "figure 3"]')
    (row,) = list_runs(base)
    assert row == run_info(path)
    assert vars(row) == {
        "name": "run_a",
        "path": path,
        "status": "finished",
        "reason": None,
        "created": datetime.fromisoformat("2026-12-16T14:30:22+01:00"),
        "kind": "fpn_compression",
        "epoch": 3,
        "epochs": 5,
        **vars(SUMMARY),
        "best_loss": 0.5,
        "best_epoch": 2,
        "bpp_estimated": 0.25,
        "bpp": None,
        "map": None,
        "share_of_ceiling": None,
        "duration_seconds": 100.0,
        "size_bytes": 1234,
        "note": "The good one",
        "tags": ("paper", "figure 3"),
        "sweep": "s1",
        "host": "lab",
        "settings_hash": "0123456789abcdef",
        "detector_fingerprint": "f" * 64,
    }


def test_runs_come_newest_first_whatever_their_time_zones(base):
    write_run(base, "run_b", created="2026-12-16T14:00:00+09:00")
    write_run(base, "run_a", created="2026-12-16T14:00:00+00:00")
    write_run(base, "run_c", created="2026-12-16T14:00:00+02:00")
    assert [row.name for row in list_runs(base)] == ["run_a", "run_c", "run_b"]


def test_a_renamed_run_is_listed_by_the_name_that_its_directory_has_now(base):
    write_run(base, "run_a").rename(base / "the good one")
    assert [row.name for row in list_runs(base)] == ["the good one"]


def test_before_there_is_a_best_the_rate_is_the_last_measured(base):
    write_run(base, "run_a", last=line(1).to_dict() | {"bpp_estimated": 0.75})
    assert list_runs(base)[0].bpp_estimated == 0.75


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b'{"schema_version": 1, "na', "is not complete JSON"),
        (b'{"schema_version": 99}', "has schema version 99, this fpnkit reads up to 1; update fpnkit"),
    ],
)
def test_a_damaged_record_is_incomplete_with_the_reason(base, content, reason):
    (base / "run_a").mkdir(parents=True)
    (base / "run_a" / "run.json").write_bytes(content)
    write_run(base, "run_b")
    rows = {row.name: row for row in list_runs(base)}
    assert rows["run_b"].status == "finished"
    assert (rows["run_a"].status, rows["run_a"].reason) == ("incomplete", f"run.json: {reason}")


def test_a_directory_that_never_got_its_first_file_is_incomplete(base):
    (base / "run_a").mkdir(parents=True)
    (base / "run_b").mkdir()
    (base / "run_b" / "config_used.yaml").touch()
    assert [row.status for row in list_runs(base)] == ["incomplete", "incomplete"]


def test_old_style_logs_are_imported_and_left_as_they_are(base):
    (base / "old").mkdir(parents=True)
    (base / "old" / "train.log").write_text("epoch 1")
    (base / "old" / "best.pth").write_bytes(b"x" * 100)
    (base / "train.log").write_text("lone")
    for path in (base / "old" / "train.log", base / "old" / "best.pth", base / "train.log"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in base.rglob("*") if path.is_file()}
    rows = {row.name: row for row in list_runs(base)}
    assert {name: (row.status, row.size_bytes) for name, row in rows.items()} == {
        "old": ("imported", 107),
        "train.log": ("imported", 4),
    }
    assert all(row.created.timestamp() == 1_700_000_000 for row in rows.values())
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in base.rglob("*") if p.is_file()} == before


def test_what_is_no_run_is_not_listed(base):
    for name in ("sweeps", ".trash", ".launch", "pictures"):
        (base / name).mkdir(parents=True)
        (base / name / "x.png").touch()
    (base / "notes.txt").touch()
    (base / "loop").symlink_to("loop")
    (base / "gone").symlink_to("nowhere")
    assert list_runs(base) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_listed_and_found(base, name):
    path = write_run(base, name)
    (row,) = list_runs(base)
    assert (row.name, row.path, row.status) == (name, path, "finished")


@pytest.mark.parametrize("content", ["", "{", '"text"', '{"a": 1}', "\0"])
def test_tags_spoilt_by_hand_count_as_none(base, content):
    (write_run(base, "run_a") / "tags.json").write_text(content)
    assert list_runs(base)[0].tags == ()


def test_a_note_of_any_bytes_is_read(base):
    (write_run(base, "run_a") / "note.md").write_bytes(b"\n\xff good\n")
    assert list_runs(base)[0].note == "\ufffd good"


def test_directories_without_permission_are_incomplete(base):
    write_run(base, "run_a")
    write_run(base, "run_b").chmod(0o000)
    for folder in (base, *list(base.parents)[:2]):
        folder.chmod(0o755)
    code = """
import os
from pathlib import Path
from fpnkit.runs.store import list_runs
if os.getuid() == 0:
    os.setuid(65534)
for row in sorted(list_runs(Path(".")), key=lambda row: row.name):
    print(row.name, row.status, row.reason)
"""
    try:
        done = python(code, cwd=base)
    finally:
        (base / "run_b").chmod(0o755)
    assert done.stderr == ""
    assert done.stdout == "run_a finished None\nrun_b incomplete cannot be read: Permission denied\n"


def test_runs_that_are_deleted_while_they_are_listed_do_no_harm(base):
    for number in range(300):
        write_run(base, f"run_{number:03}")

    def delete():
        for path in sorted(base.iterdir()):
            shutil.rmtree(path)

    thread = threading.Thread(target=delete)
    thread.start()
    counts = [300]
    while thread.is_alive() or counts[-1]:
        counts.append(len([row for row in list_runs(base) if row.status == "finished"]))
    thread.join()
    assert counts == sorted(counts, reverse=True)


def test_a_missing_base_directory_and_a_file_are_named(tmp_path):
    (tmp_path / "file").touch()
    for path, wrong in [("none", "does not exist"), ("file", "must be a directory, found a file")]:
        with pytest.raises(RunError) as error:
            list_runs(tmp_path / path)
        assert str(error.value) == f"base directory {tmp_path}/{path}: {wrong}"


def test_before_the_first_run_the_usual_directory_is_missing_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    for kind in ("fpn_compression", "detection"):
        usual = layout.default_base_dir(kind)
        with pytest.raises(RunError) as error:
            list_runs(usual)
        assert str(error.value) == (
            f"base directory {usual}: does not exist: there are no runs yet; "
            "python -m fpnkit.train --config CONFIG makes one, ExampleSweep() in a notebook a few"
        )


def test_the_row_of_something_else_is_refused(tmp_path):
    with pytest.raises(RunError) as error:
        run_info(tmp_path / "none")
    assert str(error.value) == f"{tmp_path}/none: not a run directory"


def test_the_frame_has_the_same_rows_and_its_columns_even_without_runs(base):
    base.mkdir(parents=True)
    assert list(runs_frame(base).columns) == list(COLUMNS)
    write_run(base, "run_a", created="2026-12-16T14:00:00+00:00")
    write_run(base, "run_b", created="2026-12-17T14:00:00+00:00", config=SUMMARY.__class__(lr=1.0, batch_size=1))
    frame = runs_frame(base)
    assert frame["name"].tolist() == ["run_b", "run_a"]
    assert frame["lmbda"].isna().tolist() == [True, False]
    assert frame.query("lmbda < 1e-3")["name"].tolist() == ["run_a"]
