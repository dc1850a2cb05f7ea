"""What a killed process left goes when the next one comes; what a living one makes stays."""

import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fpnkit.foundation import files
from fpnkit.foundation.temporaries import remove_temporaries, temporary, tidy_once
from tests.support import ROOT

WRITER = """
import os, sys, time
from pathlib import Path
from fpnkit.foundation import files

def stop(file):
    print("in the middle", flush=True)
    time.sleep(60)

os.fsync = stop
files.write_bytes(Path(sys.argv[1]), b"new")
"""
Start = Callable[[Path], subprocess.Popen[str]]


@pytest.fixture
def in_the_middle() -> Iterator[Start]:
    """Starts a process that stays in the middle of writing the file."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(path)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_living_writer_makes_stays_and_goes_once_it_is_killed(tmp_path: Path, in_the_middle: Start) -> None:
    path = tmp_path / "last.pth"
    files.write_bytes(path, b"old")
    writer = in_the_middle(path)
    (unfinished,) = tmp_path.glob(".last.pth.*.tmp")
    remove_temporaries(tmp_path)
    assert unfinished.read_bytes() in (b"", b"new")
    os.kill(writer.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # a zombie, of which nobody has taken notice
    remove_temporaries(tmp_path)
    assert names(tmp_path) == ["last.pth"]
    assert path.read_bytes() == b"old"


def test_whoever_writes_next_into_the_folder_removes_it(tmp_path: Path, in_the_middle: Start) -> None:
    in_the_middle(tmp_path / "a").kill()
    (tmp_path / ".mine.tmp").touch()  # somebody else's: the folder may be anywhere
    code = "import sys; from pathlib import Path; from fpnkit.foundation import files; "
    code += "files.write_text(Path(sys.argv[1]), 'x')"
    subprocess.run([sys.executable, "-c", code, tmp_path / "b"], cwd=ROOT, check=True)
    assert names(tmp_path) == [".mine.tmp", "b"]


def test_a_process_looks_once_into_each_folder(tmp_path: Path, in_the_middle: Start) -> None:
    tidy_once(tmp_path)
    in_the_middle(tmp_path / "a").kill()
    tidy_once(tmp_path)
    assert len(names(tmp_path)) == 1


def test_the_own_unfinished_file_and_folders_of_the_dead_are_told_apart(tmp_path: Path) -> None:
    own = temporary(tmp_path / "a")
    own.touch()
    other = own.with_name(own.name.replace(f"-{os.getpid()}-", "-999999999-"))
    (other / "below").mkdir(parents=True)
    (tmp_path / ".old.12.34.tmp").touch()  # of earlier versions
    (tmp_path / ".hidden").touch()
    (tmp_path / "seen.tmp").touch()
    remove_temporaries(tmp_path)
    assert names(tmp_path) == sorted([".hidden", own.name, "seen.tmp"])


def test_what_another_host_makes_is_taken_for_dead_after_a_day_and_no_clock_an_hour_off_counts(tmp_path: Path) -> None:
    own = temporary(tmp_path / "a")
    here = f"{zlib.crc32(socket.gethostname().encode()):08x}"
    assert here in own.name
    for number, hours in enumerate((-1, 1, 23, 25)):
        path = own.with_name(own.name.replace(here, f"0000000{number}"))
        path.touch()
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    remove_temporaries(tmp_path)
    assert [name.split(".")[2].split("-")[0] for name in names(tmp_path)] == ["00000000", "00000001", "00000002"]


def test_what_is_from_before_the_last_boot_is_removed(tmp_path: Path) -> None:
    own = temporary(tmp_path / "a")
    host, _, boot, rest = own.name.removeprefix(".a.").split("-", 3)
    (tmp_path / f".a.{host}-1-{boot[::-1]}-{rest}").touch()
    assert boot[::-1] != boot
    remove_temporaries(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 255, "語" * 85, "\n.tmp"])
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    files.write_text(tmp_path / name, "y")
    assert (tmp_path / name).read_text() == "y"
    unfinished = temporary(tmp_path / name)
    unfinished.with_name(unfinished.name.replace(f"-{os.getpid()}-", "-999999999-")).touch()
    remove_temporaries(tmp_path, of_any_name=False)
    assert names(tmp_path) == [name]
