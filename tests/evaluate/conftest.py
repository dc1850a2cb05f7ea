import shutil
from pathlib import Path

import pytest

from tests.support.train_process import only_run, train, write_config

TEST_SET = "data.test={kind: shapes, images: 5, seed: 7}"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose config has a test set."""
    folder = tmp_path_factory.mktemp("trained")
    config = write_config(folder, folder / "features")
    done = train("--config", config, "--base-dir", folder / "runs", "--set", TEST_SET)
    assert done.returncode == 0, done.stderr
    return only_run(folder / "runs")


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds a copy of the run where commands look for it."""
    shutil.copytree(trained, tmp_path / "checkpoints" / "fpn_compression" / trained.name)
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run_dir(home: Path, trained: Path) -> Path:
    return home / "checkpoints" / "fpn_compression" / trained.name
