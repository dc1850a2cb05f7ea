"""Pictures of every panel in JupyterLab, light and dark, to be looked at.

python tests/browser/screenshots.py FOLDER      # FPNKIT_HOME with runs, else the test runs
"""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter import chromium, jupyter_lab, page
from lab import open_notebook, run_all
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page

sys.path.append(str(Path(__file__).parents[1] / "notebooks"))
from store import copy_store

_KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
_HEIGHT = 2600


@dataclass(frozen=True)
class Shot:
    """A panel in one state."""

    name: str
    code: str  # of a cell that ends with the panel; DARK is replaced
    act: Callable[[Page], None] = lambda page: None


def _tab(title: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("tab", name=title, exact=True).click()


def _compare(page: Page) -> None:
    _tab("Compare")(page)
    page.get_by_label("Compare with").select_option(index=[1, 2])
    page.get_by_role("columnheader", name="Settings").wait_for()


def _ask(page: Page) -> None:
    _tab("Archive and trash")(page)
    page.get_by_label("Run", exact=True).select_option(index=3)
    page.get_by_role("button", name="Move to the trash").click()
    page.get_by_role("button", name="Cancel").wait_for()


_RUNS = "from fpnkit.widgets.runs import RunBrowser\n"
SHOTS = [
    Shot("runs_details", _RUNS + "RunBrowser(dark=DARK)"),
    Shot("runs_compare", _RUNS + "RunBrowser(dark=DARK)", _compare),
    Shot("runs_words", _RUNS + "RunBrowser(dark=DARK)", _tab("Note and tags")),
    Shot("runs_trash", _RUNS + "RunBrowser(dark=DARK)", _ask),
    Shot("runs_none", _RUNS + "RunBrowser('/nowhere', dark=DARK)"),
]


def take(folder: Path, home: Path, dark: bool, wanted: list[str]) -> None:
    """`<name>_light.png` or `<name>_dark.png` for each."""
    shots = [shot for shot in SHOTS if not wanted or shot.name in wanted]
    with tempfile.TemporaryDirectory() as root:
        for shot in shots:
            cell = new_code_cell(shot.code.replace("DARK", str(dark)))
            notebook = new_notebook(cells=[cell], metadata=_KERNEL)
            nbformat.write(notebook, Path(root) / f"{shot.name}.ipynb")
        with chromium() as browser, jupyter_lab(Path(root), home, dark=dark) as address, page(browser, _HEIGHT) as lab:
            for shot in shots:
                open_notebook(lab, address, f"{shot.name}.ipynb")
                run_all(lab)
                panel = lab.locator(".jp-OutputArea-output").first
                panel.wait_for()
                shot.act(lab)
                lab.wait_for_timeout(1500)  # for the eye only: no check depends on it
                panel.screenshot(path=folder / f"{shot.name}_{'dark' if dark else 'light'}.png")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(os.environ["FPNKIT_HOME"]) if "FPNKIT_HOME" in os.environ else copy_store(Path(scratch) / "home")
        for in_the_dark in (False, True):
            take(target, runs, in_the_dark, sys.argv[2:])
