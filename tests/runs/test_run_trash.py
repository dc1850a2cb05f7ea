import os
import shutil
import subprocess
import sys

import pytest

from fpnkit.runs.record import Best
from fpnkit.runs.store import list_runs
from fpnkit.runs.trash import find_trashed, list_trash, require_movable, restore, trash
from tests.support.run_dirs import ODD_NAMES, content, message, write_run
from tests.support.run_processes import command_line
from tests.support.terminal import on_a_terminal


def good(base, name, loss, **facts):
    facts = {"settings_hash": "a" * 16, "detector_fingerprint": "b" * 64} | facts
    return write_run(base, name, best=Best(1, loss, "best_model.pth"), size_bytes=1000, **facts)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_run_comes_back_from_the_trash_as_it_was(base, name):
    path = write_run(base, name)
    (path / "env").mkdir()
    (path / "env" / "x").write_bytes(b"\0\xff")
    before = content(path)
    trash(require_movable(str(path), base), base)
    assert list_runs(base) == []
    (item,) = list_trash(base)
    assert item.name == name
    assert restore(item, base) == path
    assert content(path) == before
    assert list_trash(base) == []
    assert [row.name for row in list_runs(base)] == [name]


def test_two_runs_of_one_name_are_both_kept_and_told_apart(base):
    for loss in (1.0, 2.0):
        trash(require_movable(str(good(base, "run_a", loss)), base), base)
    first, second = sorted(item.removed for item in list_trash(base))
    assert message(find_trashed, "run_a", base) == (
        f"run 'run_a': 2 in the trash of {base} match; name one of them:\n  {second}/run_a\n  {first}/run_a"
    )
    restore(find_trashed(f"{first}/run_a", base), base)
    assert [row.best_loss for row in list_runs(base)] == [1.0]
    item = find_trashed("run_a", base)
    assert message(restore, item, base) == f"{base}/run_a: exists; rename it first, then restore"
    assert len(list_trash(base)) == 1


@pytest.fixture
def outside(tmp_path):
    """A run that no command of another base directory may touch."""
    return write_run(tmp_path / "elsewhere", "run_precious")


def test_nothing_outside_the_base_directory_is_moved_whatever_the_name(base, outside, tmp_path, monkeypatch):
    write_run(base, "run_a")
    (base / "run_link").symlink_to(outside)
    (base / "folder").symlink_to(outside.parent)
    before = content(tmp_path)
    relative = os.path.relpath(outside, base)
    monkeypatch.chdir(base)
    told = "does not lie in {} itself; only such runs are moved, see --base-dir"
    for name, problem in {
        str(outside): told,
        relative: told,
        f"run_a/../{relative}": told,
        "folder/run_precious": told,
        "run_a/..": "not a run directory, it has no run.json",
        "..": "not a run directory, it has no run.json",
        "run_link": f"is a symbolic link to {outside}; only what lies in {{}} is moved",
        str(base / "run_link"): f"is a symbolic link to {outside}; only what lies in {{}} is moved",
    }.items():
        assert message(require_movable, name, base) == f"run {name!r}: {problem.format(base)}"
    monkeypatch.chdir(base / "run_a")
    assert message(require_movable, ".", base) == f"run '.': {told.format(base)}"
    for action in (["trash"], ["archive"]):
        for name in (outside, relative, "run_link", "folder/run_precious", "..", "../.."):
            assert command_line("--base-dir", base, *action, name, cwd=base).returncode == 2
    assert content(tmp_path) == before


def test_a_base_directory_that_is_reached_by_a_link_is_that_directory(base, tmp_path):
    path = write_run(base, "run_a")
    (tmp_path / "link").symlink_to(base)
    assert require_movable(str(path), tmp_path / "link").path == tmp_path / "link" / "run_a"
    assert require_movable(str(tmp_path / "link" / "run_a"), base).path == path


@pytest.mark.parametrize("place", [".trash", "archive"])
def test_a_trash_or_archive_that_is_a_link_is_not_written_through(base, tmp_path, place):
    write_run(base, "run_a")
    (tmp_path / "victim").mkdir()
    (base / place).symlink_to(tmp_path / "victim")
    done = command_line("--base-dir", base, "archive" if place == "archive" else "trash", "run_a")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"{base}/{place}: must be a directory of its own, found a symbolic link to {tmp_path}/victim\n"
    )
    assert os.listdir(tmp_path / "victim") == []
    assert [row.name for row in list_runs(base)] == ["run_a"]


def test_a_purge_follows_no_links_out_of_the_trash(base, outside):
    path = write_run(base, "run_a")
    (path / "data").symlink_to(outside)
    command_line("--base-dir", base, "trash", "run_a")
    (base / ".trash" / "20200101_000000").symlink_to(outside.parent)
    next(item for item in list_trash(base)).path.parent.joinpath("run_x").symlink_to(outside)
    done = command_line("--base-dir", base, "purge", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(outside) == ["run.json"]


@pytest.mark.parametrize("action", ["trash", "archive"])
def test_a_running_run_is_refused(base, trainer, action):
    _, path = trainer("create", base, "--heartbeat", 60)
    done = command_line("--base-dir", base, action, path.name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{path.name}: is running; stop it first\n"
    (path / "run.json").write_text("{")  # its record lost, its lock still says so
    done = command_line("--base-dir", base, action, path.name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{path}: another process is training this run\n"
    assert path.is_dir()


@pytest.mark.parametrize("action", ["trash", "archive"])
def test_old_style_logs_are_left_as_they_are(base, action):
    (base / "old").mkdir(parents=True)
    (base / "old" / "train.log").write_text("Epoch 1")
    (base / "train.log").write_text("Epoch 1")
    for name in ("old", "train.log"):
        done = command_line("--base-dir", base, action, str(base / name))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{name}: is an old-style log; such files are left as they are\n"
    assert command_line("--base-dir", base, "prune", "--keep-best", 1, "--yes").stdout == "nothing to prune\n"
    assert sorted(content(base)) == ["old/train.log", "train.log"]


def test_of_several_runs_none_is_moved_if_one_may_not(base):
    write_run(base, "run_a")
    done = command_line("--base-dir", base, "trash", "run_a", "run_b")
    assert done.returncode == 2
    assert done.stderr == f"run 'run_b': no run in {base} has this in its name; did you mean 'run_a'?\n"
    assert [row.name for row in list_runs(base)] == ["run_a"]


def test_what_may_be_missed_is_warned_about(base):
    good(base, "run_a", 1.0)
    good(base, "run_b", 2.0)
    good(base, "run_c", 3.0, exit_code=None, host="gpu7", heartbeat="2026-12-16T14:30:22+01:00")
    done = command_line("--base-dir", base, "trash", "run_a", "run_b", "run_c")
    assert done.stdout == "in the trash: run_a\nin the trash: run_b\nin the trash: run_c\n"
    assert done.stderr == (
        "warning: run_a has the best loss of lambda 2.5e-4, 1\n"
        "warning: run_c may still be training on gpu7: no sign of life from gpu7 since 2026-12-16T14:30:22+01:00\n"
    )


def test_purge_shows_what_it_frees_and_asks(base):
    for name in ("run_a", "run_b"):
        (write_run(base, name) / "last.pth").write_bytes(b"x" * 1_000_000)
        command_line("--base-dir", base, "trash", name)
    newest, oldest = list_trash(base)
    done = command_line("--base-dir", base, "purge", stdin=subprocess.DEVNULL)
    assert [line.split(None, 2) for line in done.stdout.splitlines()] == [
        ["removed", "run", "size"],
        [newest.removed, "run_b", "1.0 MB"],
        [oldest.removed, "run_a", "1.0 MB"],
    ]
    assert (done.returncode, done.stderr) == (
        2,
        "purge: asks for confirmation, but there is no terminal; required --yes\n",
    )
    lines = on_a_terminal(80, "--base-dir", base, "purge", answer="no\n")
    assert lines[-1] == "delete 2 runs for good, 2.0 MB? [y/N] nothing was removed"
    assert len(list_trash(base)) == 2
    lines = on_a_terminal(80, "--base-dir", base, "purge", "run_a", answer="y\n")
    assert lines[-1] == "delete 1 run for good, 1.0 MB? [y/N] deleted 1 run, 1.0 MB are free"
    assert [item.name for item in list_trash(base)] == ["run_b"]
    assert command_line("--base-dir", base, "purge", "--yes").stdout.endswith("\ndeleted 1 run, 1.0 MB are free\n")
    assert command_line("--base-dir", base, "purge").stdout == f"the trash of {base} is empty\n"
    assert command_line("--base-dir", base, "restore").stdout == f"the trash of {base} is empty\n"


def test_prune_keeps_the_best_of_each_lambda_and_what_cannot_be_judged(base, trainer):
    for name, loss in [("run_a", 3.0), ("run_b", 1.0), ("run_c", 2.0), ("run_nan", float("nan"))]:
        good(base, name, loss)
    for name, loss in [("run_d", 9.0), ("run_e", 8.0)]:
        good(base, name, loss, settings_hash="c" * 16)
    good(base, "run_elsewhere", 99.0, exit_code=None, host="gpu7")
    (base / "run_broken").mkdir()
    _, running = trainer("create", base)
    done = command_line("--base-dir", base, "prune", "--keep-best", 2, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert {item.name for item in list_trash(base)} == {"run_a", "run_nan"}
    done = command_line("--base-dir", base, "prune", "--keep-best", 1, "--yes")
    assert {item.name for item in list_trash(base)} == {"run_a", "run_nan", "run_c", "run_d"}
    assert {row.name for row in list_runs(base)} == {"run_b", "run_e", "run_elsewhere", "run_broken", running.name}
    done = command_line("--base-dir", base, "prune", "--keep-best", 0)
    assert (done.returncode, done.stderr) == (2, "--keep-best: required 1 or more, found 0\n")


def test_a_read_only_base_directory_can_be_listed_and_refuses_to_lose_runs(base):
    write_run(base, "run_a")
    for folder in (base / "run_a", base, *list(base.parents)[:2]):
        folder.chmod(0o755)
    code = """
import os
import fpnkit.runs.actions
from fpnkit.runs.__main__ import main
if os.getuid() == 0:
    os.setuid(65534)
print([main(["--base-dir", ".", *action]) for action in ([], ["trash", "run_a"], ["note", "run_a", "x"])])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=base, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[0, 2, 1]"], done.stderr
    assert done.stderr.splitlines()[0] == "run_a: required a directory that can be written to: Permission denied"
    assert os.listdir(base) == ["run_a"]
    assert os.listdir(base / "run_a") == ["run.json"]


def test_flags_of_the_list_are_refused_with_an_action(base):
    write_run(base, "run_a")
    done = command_line("--base-dir", base, "--json", "trash", "run_a")
    assert (done.returncode, done.stderr) == (2, "--json: applies to the list, not to trash\n")
    assert [row.name for row in list_runs(base)] == ["run_a"]
    shutil.rmtree(base)
