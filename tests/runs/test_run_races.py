"""Several processes that do the same thing to the same run: one does it, the others are told who."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter

import pytest

from fpnkit.errors import StorageError
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.runs.archive import archive
from fpnkit.runs.trash import list_trash, purge, require_movable, trash
from tests.support import ROOT
from tests.support.run_dirs import content, message, write_run
from tests.support.run_processes import python, until

AT_ONCE = """
import sys, time
from fpnkit.runs.__main__ import main
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main(sys.argv[1:]))
"""
GONE = "is no longer there; another process has archived or removed it"


def large_run(base):
    path = write_run(base, "run_a")
    (path / "last.pth").write_bytes(os.urandom(2_000_000))
    return path


def at_once(count, *arguments):
    """(exit code, last line on stderr) of each, in any order."""
    command = [sys.executable, "-c", AT_ONCE, *map(str, arguments)]
    pipe = subprocess.PIPE
    streams = {"stdin": pipe, "stdout": pipe, "stderr": pipe}
    started = [subprocess.Popen(command, cwd=ROOT, text=True, **streams) for _ in range(count)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [(process, process.communicate(timeout=60)[1]) for process in started]
    return [(process.returncode, (said.splitlines() or [""])[-1]) for process, said in ended]


@pytest.mark.parametrize("action", ["archive", "trash"])
def test_one_of_several_processes_removes_a_run_and_the_others_are_told_why_not(base, action):
    before = content(large_run(base))
    found = at_once(4, "--base-dir", base, action, "run_a")
    assert Counter(code for code, _ in found) == {0: 1, 2: 3}
    said = {
        "archive": "another process is archiving this run",
        "trash": "another process is moving this run into the trash",
    }
    late = f"run 'run_a': no run in {base} has this in its name"
    assert {line for code, line in found if code} <= {f"{base}/run_a: {said[action]}", f"{base}/run_a: {GONE}", late}
    if action == "trash":
        (item,) = list_trash(base)
        assert content(item.path) == before
        return
    assert list_trash(base) == []
    (file,) = (base / "archive").iterdir()
    with tarfile.open(file) as tar:
        assert sorted(tar.getnames()) == ["run_a", "run_a/last.pth", "run_a/run.json"]


def test_one_of_several_processes_empties_the_trash(base):
    trash(require_movable(str(large_run(base)), base), base)
    (item,) = list_trash(base)
    found = at_once(4, "--base-dir", base, "purge", "--yes")
    told = f"{item.removed}/run_a: is no longer in the trash; another process has deleted or restored it"
    assert set(found) <= {(0, ""), (2, told)}
    assert (0, "") in found
    assert list((base / ".trash").iterdir()) == []
    assert message(purge, [item]) == told


def test_a_run_is_locked_until_it_is_archived_and_moved(base, monkeypatch):
    from fpnkit.runs import archive as module

    path = large_run(base)
    refused = []
    code = "import sys; from pathlib import Path; from fpnkit.foundation.lock import DirectoryLock; "
    code += "DirectoryLock(Path(sys.argv[1]))"

    def tried(step):
        def call(*arguments):
            refused.append(python(code, path).stderr.splitlines()[-1])
            result = step(*arguments)
            refused.append(python(USES, path).stderr.splitlines()[-1])
            return result

        return call

    monkeypatch.setattr(module, "_pack", tried(module._pack))
    monkeypatch.setattr(module, "_check", tried(module._check))
    archive(require_movable(str(path), base), base)
    assert set(refused) == {f"fpnkit.errors.RunError: {path}: another process is archiving this run"}
    assert len(refused) == 4


USES = """
import sys
from pathlib import Path
from fpnkit.foundation.lock import used
with used(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("move", [archive, trash])
def test_a_run_that_others_evaluate_stays_where_it_is_and_may_be_trained(base, move):
    path = large_run(base)
    run, before = require_movable(str(path), base), content(path)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", USES, str(path)]
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe))
            assert process.stdout.readline() == "in\n"
        assert message(move, run, base) == f"{path}: another process is evaluating or analyzing this run"
        DirectoryLock(path).release()
        assert content(path) == before
    move(run, base)
    assert not path.exists()
    assert python(USES, path).stderr.splitlines()[-1] == f"fpnkit.errors.RunError: {path}: {GONE}"
    assert not path.exists()


def test_a_directory_that_moved_while_its_lock_was_waited_for_is_gone(base, monkeypatch):
    path = write_run(base, "run_a")
    opened = os.open

    def open_then_move(*arguments):
        file = opened(*arguments)
        path.rename(base / "elsewhere")
        return file

    monkeypatch.setattr(os, "open", open_then_move)
    assert message(DirectoryLock, path) == f"{path}: {GONE}"
    monkeypatch.undo()
    assert message(DirectoryLock, path) == f"{path}: {GONE}"


def test_an_archive_that_was_killed_costs_no_space_after_the_next(base):
    path = large_run(base)
    (path / "best_model.pth").write_bytes(os.urandom(100_000_000))
    before, folder = content(path), base / "archive"
    command = [sys.executable, "-m", "fpnkit.runs", "--base-dir", str(base), "archive", "run_a"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        until(lambda: any(file.stat().st_size > 1_000_000 for file in folder.glob(".*.tmp")))
        process.send_signal(signal.SIGKILL)
    assert len(list(folder.iterdir())) == 1
    assert content(path) == before
    (path / "best_model.pth").write_bytes(b"small")
    file = archive(require_movable(str(path), base), base)
    assert list(folder.iterdir()) == [file]


def test_a_purge_that_was_killed_shows_no_half_of_a_run_and_the_next_one_ends_it(base):
    path = write_run(base, "run_a")
    trash(require_movable(str(path), base), base)
    (item,) = list_trash(base)
    code = """
import os, shutil, signal, sys
from fpnkit.runs.__main__ import main
def killed(path):
    os.unlink(path / "run.json")
    os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = killed
main(["--base-dir", sys.argv[1], "purge", "--yes"])
"""
    assert python(code, base).returncode == -signal.SIGKILL
    assert list_trash(base) == []
    assert len(list(item.path.parent.iterdir())) == 1
    done = subprocess.run(
        [sys.executable, "-m", "fpnkit.runs", "--base-dir", base, "purge"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"the trash of {base} is empty\n", "")
    assert list((base / ".trash").iterdir()) == []


def test_what_cannot_be_deleted_is_still_in_the_trash(base, monkeypatch):
    trash(require_movable(str(write_run(base, "run_a")), base), base)
    (item,) = list_trash(base)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StorageError) as error:
        purge([item])
    assert str(error.value) == f"{item.path}: could not be written: Permission denied"
    assert list_trash(base) == [item]
