"""Figures are as dark as the page, in a JupyterLab with a dark theme."""

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.jupyter import jupyter_lab, page
from tests.support.lab import KERNEL, open_notebook, run_all

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_the_figures_follow_the_page_and_then_the_person(browser: "Browser", root: Path, home: Path) -> None:
    from playwright.sync_api import expect

    code = "from fpnkit.widgets import RunBrowser\nRunBrowser()"
    notebook = new_notebook(cells=[new_code_cell(code), new_code_cell("RunBrowser()")], metadata=KERNEL)
    nbformat.write(notebook, root / "dark.ipynb")
    with jupyter_lab(root, home, dark=True) as address, page(browser) as lab:
        open_notebook(lab, address, "dark.ipynb")
        run_all(lab)
        boxes = lab.get_by_label("dark figures")
        expect(boxes.nth(0)).to_be_checked()
        expect(boxes.nth(1)).to_be_checked()
        boxes.nth(0).uncheck()
        lab.wait_for_timeout(500)  # as long as a page needs to say again what it is
        expect(boxes.nth(0)).not_to_be_checked()
