from pathlib import Path

import pytest

from tests.support.train_process import only_run, train, write_config


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def config(tmp_path: Path, features: Path) -> Path:
    return write_config(tmp_path, features)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """One whole run; its output is kept beside it."""
    folder = tmp_path_factory.mktemp("finished")
    base_dir = folder / "runs"
    done = train("--config", write_config(folder, features), "--base-dir", base_dir, "--set", "training.keep_best=1")
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return only_run(base_dir)
