import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fpnkit.runs.writer import RunWriter
from tests.support.fake_trainer import SUMMARY
from tests.support.run_processes import start_trainer


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "fpn_compression"


@pytest.fixture
def new_run(base: Path) -> Iterator[Callable[..., RunWriter]]:
    """Creates runs in this process; those still open are ended."""
    made: list[RunWriter] = []

    def create(**options: Any) -> RunWriter:
        defaults = {
            "kind": "fpn_compression",
            "config_yaml": "task: fpn_compression\n",
            "summary": SUMMARY,
            "epochs": 5,
            "argv": ["python", "-m", "fpnkit.train"],
        }
        run = RunWriter.create(base, **(defaults | options))
        made.append(run)
        return run

    yield create
    for run in made:
        run.end("finished", 0)


@pytest.fixture
def trainer() -> Iterator[Callable[..., Any]]:
    """Starts fake trainers; those still alive are killed."""
    processes = []

    def start(*arguments: object, **options: Any) -> Any:
        process, path = start_trainer(*arguments, **options)
        processes.append(process)
        return process, path

    yield start
    for process in processes:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
