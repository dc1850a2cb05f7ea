from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fpnkit.evaluation.task import Task, build_task
from tests.support.coders import config


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def task(home: Path) -> Task:
    """The built-in detector on six images."""
    return build_task(config())
