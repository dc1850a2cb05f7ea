import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.jupyter import chromium, jupyter_lab, page
from tests.support.lab import open_notebook, run_all
from tests.support.store import copy_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
REQUIRED = "FPNKIT_REQUIRE_BROWSER"  # set where these tests must not be skipped


def lacking() -> str:
    """What a browser test needs and is not here; empty where everything is."""
    modules = ("playwright", "jupyterlab", "voila", "ipywidgets")
    found = [name for name in modules if importlib.util.find_spec(name) is None]
    found += [] if shutil.which("chromium") else ["chromium"]
    return ", ".join(found)


@pytest.fixture(scope="session", autouse=True)
def _browser() -> None:
    if missing := lacking():
        if REQUIRED in os.environ:
            pytest.fail(f"{REQUIRED} is set and there is no {missing}")
        pytest.skip(f"needs {missing}")


@pytest.fixture(scope="module")  # not longer: while it is open its event loop runs, in the way of others
def browser(_browser: None) -> Iterator["Browser"]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def home(_browser: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of runs that tests may change."""
    return copy_store(tmp_path_factory.mktemp("browser") / "home")


@pytest.fixture(scope="module")
def root(_browser: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that JupyterLab shows: copies of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(notebook, folder)
    return folder


@pytest.fixture(scope="module")
def lab(browser: "Browser", root: Path, home: Path, request: pytest.FixtureRequest) -> Iterator["Page"]:
    """The module's NOTEBOOK, all cells run."""
    with jupyter_lab(root, home) as address, page(browser, height=2000) as made:
        open_notebook(made, address, request.module.NOTEBOOK)
        run_all(made)
        yield made
