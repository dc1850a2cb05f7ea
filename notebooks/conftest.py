"""How `pytest --nbval notebooks` runs these: strictly, each in a copy of small runs that are made at the start."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from jupyter_client import launcher

from tests.support import ROOT, store, warm

CELL_SECONDS = 120


def pytest_configure(config: pytest.Config) -> None:
    """As if these options stood on the command line."""
    store.reserve()
    config.option.nbval_sanitize_with = str(ROOT / "tests" / "notebooks" / "sanitize.cfg")
    config.option.nbval_current_env = True
    config.option.nbval_cell_timeout = CELL_SECONDS
    launcher.Popen = warm.Popen  # kernels need not load torch


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Around the place where nbval starts the kernel of a notebook, which inherits the environment."""
    with pytest.MonkeyPatch.context() as environment:
        if item.path.suffix == ".ipynb":
            environment.setenv("FPNKIT_HOME", str(_home(item.path)))
        return (yield)


@functools.cache
def _home(notebook: Path) -> Path:
    """Of its own for each: what one notebook trains or tidies away the next must not see."""
    folder = Path(tempfile.mkdtemp(prefix="fpnkit_notebook_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return store.copy_store(folder / "home")
