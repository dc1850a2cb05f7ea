from pathlib import Path

import pytest

from tests.support.train_process import write_config


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "runs"
    path.mkdir()
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tmp_path / "features")
