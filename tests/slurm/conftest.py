import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fpnkit.foundation import slurm
from fpnkit.launch.launchers import submit_to_slurm
from fpnkit.launch.local import command
from fpnkit.launch.slurm import SlurmLaunch
from tests.support import ROOT
from tests.support.slurm_server import SlurmServer, running
from tests.support.train_process import write_config


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmServer]:
    with running(tmp_path_factory.mktemp("slurm")) as server:
        yield server


@pytest.fixture
def server(_server: SlurmServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmServer]:
    """A Slurm with two cores and an empty queue, which the code under test finds."""
    for name, value in _server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    slurm.ask_again()
    yield _server
    _server.clear()
    slurm.ask_again()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tmp_path / "features")


@pytest.fixture
def submit(server: SlurmServer, base: Path) -> Callable[..., list[SlurmLaunch]]:
    """Submits fake trainers, one task for each list of arguments."""

    def begin(*tasks: list[object], **options: str | int | bool) -> list[SlurmLaunch]:
        commands = [command([*map(str, arguments)], "tests.support.fake_trainer") for arguments in tasks]
        return submit_to_slurm(commands, base, {"time": 10, **options})

    return begin


@pytest.fixture
def fpnkit() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a command of fpnkit to its end."""

    def run(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", f"fpnkit.{name}", *map(str, arguments)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=300)

    return run
