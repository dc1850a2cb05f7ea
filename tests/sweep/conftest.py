import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import warm
from tests.support.train_process import write_config


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "runs"
    path.mkdir()
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tmp_path / "features")


@pytest.fixture
def begin(tmp_path: Path) -> "Iterator[Callable[..., subprocess.Popen[bytes]]]":
    """Starts sweeps that write to the files `out` and `err`; who is still alive is killed, with its trainings."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object) -> "subprocess.Popen[bytes]":
        with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
            command = [sys.executable, "-m", "fpnkit.sweep", *map(str, arguments)]
            process = warm.Popen(command, stdout=out, stderr=err, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for each in psutil.Process(process.pid).children(recursive=True):
                each.kill()
            process.kill()
        process.wait(timeout=30)
