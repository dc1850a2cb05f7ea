import os
import subprocess
import sys
import time

import pytest

from fpnkit.errors import RunError
from fpnkit.runs.create import create_run_directory, require_base_directory
from tests.support.run_processes import python

# Waits until all processes are there, so that they meet in the same second.
_CREATE_FOUR = """
import sys, time
from datetime import datetime
from pathlib import Path
from fpnkit.runs.create import create_run_directory
from fpnkit.runs.layout import run_name
base, start, frozen = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "frozen"
time.sleep(max(0, start - time.time()))
for _ in range(4):
    moment = datetime(2026, 12, 16, 14, 30, 22) if frozen else datetime.now()
    print(create_run_directory(base, run_name(moment, 2.5e-4, 5e-5, 4)))
"""


@pytest.mark.parametrize("clock", ["frozen", "running"])
def test_64_directories_from_16_processes_are_64_directories(base, clock):
    command = [sys.executable, "-c", _CREATE_FOUR, str(base), str(time.time() + 2), clock]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(16)]
    told = [line for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0] * 16
    assert len(told) == len(set(told)) == 64
    assert {str(path) for path in base.iterdir()} == set(told)
    if clock == "frozen":
        name = "run_20261216_143022_lambda_2.50e-04_lr_5.00e-05_bs_4"
        assert {path.name for path in base.iterdir()} == {name, *(f"{name}_{number}" for number in range(1, 64))}


def test_a_file_with_the_name_is_not_overwritten(base):
    base.mkdir(parents=True)
    (base / "run_x").write_text("mine")
    assert create_run_directory(base, "run_x") == base / "run_x_1"
    assert (base / "run_x").read_text() == "mine"


def test_a_base_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    for base in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError) as error:
            create_run_directory(base, "run_x")
        with pytest.raises(RunError) as early:
            require_base_directory(base)
        assert str(early.value) == str(error.value)
        assert str(error.value) == (f"base directory {base}: must be a directory, found the file {tmp_path}/file")


def test_a_read_only_base_directory_is_named(tmp_path):
    (tmp_path / "base").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    code = """
import os
from pathlib import Path
from fpnkit.errors import RunError
from fpnkit.runs.create import create_run_directory, require_base_directory
if os.getuid() == 0:
    os.setuid(65534)
for base in ("base", "base/below"):
    for refuse in (lambda path: create_run_directory(path, "run_x"), require_base_directory):
        try:
            refuse(Path(base))
        except RunError as error:
            print(error)
"""
    done = python(code, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == (
        2 * "base directory base: required a directory that can be written to: Permission denied\n"
        + 2 * "base directory base/below: required a directory that can be written to: Permission denied\n"
    )
    assert os.listdir(tmp_path / "base") == []


def test_a_name_that_the_file_system_refuses_is_an_error_of_the_user(tmp_path):
    with pytest.raises(RunError) as error:
        create_run_directory(tmp_path, "x" * 300)
    assert str(error.value) == (
        f"base directory {tmp_path}: required a directory that can be written to: File name too long"
    )
