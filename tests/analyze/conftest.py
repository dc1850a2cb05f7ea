import shutil
from pathlib import Path

import pytest

from tests.support.train_process import only_run, train, write_config


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that made figures while it was trained; read only."""
    folder = tmp_path_factory.mktemp("trained")
    figures = ("--set", "analysis.figures_every=2", "--set", "analysis.figures_images=1")
    config = write_config(folder, folder / "features")
    done = train("--config", config, "--base-dir", folder / "runs", "--epochs", 3, *figures)
    assert done.returncode == 0, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return only_run(folder / "runs")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy, to do with as one likes."""
    path = tmp_path / "runs" / trained.name
    shutil.copytree(trained, path)
    return path
