import os
import socket
import subprocess
import sys
import tarfile

import pytest

from fpnkit.runs.archive import archive
from fpnkit.runs.store import list_runs
from fpnkit.runs.trash import list_trash, require_movable
from tests.support.run_dirs import ODD_NAMES, content, message, write_run
from tests.support.run_processes import command_line


def filled_run(base, name="run_a"):
    path = write_run(base, name)
    (path / "env").mkdir()
    (path / "env" / "empty").touch()
    (path / "last.pth").write_bytes(os.urandom(3_000_000))
    (path / "link").symlink_to("/etc/hostname")
    (path / "broken link").symlink_to("nowhere")
    (path / "fpn_analysis" / "lambda_1").mkdir(parents=True)
    os.link(path / "last.pth", path / "best_model.pth")
    return path


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_archived_run_comes_back_with_tar_as_it_was(base, name):
    path = filled_run(base, name)
    before = content(path)
    file = archive(require_movable(str(path), base), base)
    assert list_runs(base) == list_trash(base) == []
    assert file.parent == base / "archive"
    assert os.listdir(file.parent) == [file.name]
    subprocess.run(["tar", "-xzf", file, "-C", base], check=True)
    assert content(path) == before
    assert os.readlink(path / "link") == "/etc/hostname"
    assert (path / "fpn_analysis" / "lambda_1").is_dir()
    assert [row.name for row in list_runs(base)] == [name]


def test_an_earlier_archive_of_the_same_name_is_kept(base):
    files = [archive(require_movable(str(filled_run(base)), base), base) for _ in range(2)]
    assert [file.name for file in files] == ["run_a.tar.gz", "run_a_1.tar.gz"]
    assert all(tarfile.is_tarfile(file) for file in files)


def test_the_command_line_says_how_to_bring_it_back(base):
    path = filled_run(base)
    before = content(path)
    done = command_line("--base-dir", base, "archive", "run_a")
    assert (done.returncode, done.stderr) == (0, "")
    told, how = done.stdout.splitlines()
    assert told.endswith(f"MB in {base}/archive/run_a.tar.gz")
    assert how == f"  to bring it back: tar -xzf {base}/archive/run_a.tar.gz -C {base}"
    subprocess.run(how.partition(": ")[2], shell=True, check=True)
    assert content(path) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "last.pth").write_bytes(b"other"),
        lambda path: (path / "new").touch(),
        lambda path: (path / "run.json").unlink(),
        lambda path: (path / "link").unlink() or (path / "link").symlink_to("/etc/passwd"),
    ],
    ids=["changed", "added", "removed", "link"],
)
def test_a_directory_that_changes_meanwhile_is_not_removed(base, change, monkeypatch):
    from fpnkit.runs import archive as module

    path = filled_run(base)
    pack = module._pack

    def pack_then_change(run_dir, file, counter):
        pack(run_dir, file, counter)
        change(run_dir)

    monkeypatch.setattr(module, "_pack", pack_then_change)
    assert message(archive, require_movable(str(path), base), base).endswith("nothing was removed")
    assert path.is_dir()
    assert os.listdir(base / "archive") == []
    assert list_trash(base) == []


def flip_a_bit(data):
    data[len(data) // 2] ^= 1


def lose_the_end(data):
    del data[-1000:]


def zero_a_block(data):
    data[5000:9096] = bytes(4096)


@pytest.mark.parametrize("spoil", [flip_a_bit, lose_the_end, zero_a_block])
def test_an_archive_with_a_flaw_does_not_cost_the_run(base, monkeypatch, spoil):
    from fpnkit.runs import archive as module

    path = filled_run(base)
    before = content(path)
    pack = module._pack

    def pack_badly(run_dir, file, counter):
        pack(run_dir, file, counter)
        data = bytearray(file.read_bytes())
        spoil(data)
        file.write_bytes(data)

    monkeypatch.setattr(module, "_pack", pack_badly)
    text = message(archive, require_movable(str(path), base), base)
    assert text.endswith("nothing was removed")
    assert content(path) == before
    assert os.listdir(base / "archive") == []


def test_what_an_archive_cannot_hold_keeps_its_directory(base, monkeypatch):
    path = filled_run(base)
    monkeypatch.chdir(path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        text = message(archive, require_movable(str(path), base), base)
    assert text == f"{path}/s: cannot be archived; nothing was removed"
    assert path.is_dir()
    assert os.listdir(base / "archive") == []


def test_a_full_disk_leaves_the_run_and_no_file(base):
    path = filled_run(base)
    before = content(path)
    code = """
import resource, signal, sys
from fpnkit.runs.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.exit(main(["--base-dir", sys.argv[1], "archive", "run_a"]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(base)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{base}/archive: could not be written: File too large\n"
    assert content(path) == before
    assert os.listdir(base / "archive") == []
