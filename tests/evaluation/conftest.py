from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fpnkit.config.load import validate
from fpnkit.config.schema import CodecConfig
from fpnkit.evaluation.task import Task, build_task


def config(**test: object) -> CodecConfig:
    settings = {
        "task": "fpn_compression",
        "detector": {"kind": "shapes_fcos"},
        "data": {"train": {"kind": "shapes", "images": 4}, "test": {"kind": "shapes", "images": 6, "seed": 5, **test}},
        "codec": {"kind": "factorized"},
        "loss": {"lambda": 0.01},
        "training": {"epochs": 1},
    }
    result = validate(settings)
    assert isinstance(result, CodecConfig)
    return result


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
