"""Every panel beside the file browser in a window of 800 pixels: nothing is cut and nothing stands out."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.jupyter import jupyter_lab, page
from tests.support.lab import KERNEL, open_notebook, run_all

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PANELS = ["RunBrowser", "RDExplorer", "PyramidViewer", "TrainingPanel"]
_CONTROLS = "button, select, input, textarea, img, .widget-readout, .lm-TabBar-tabLabel"
# Right edges beyond the panel's (a table scrolls in a region of its own), texts wider than the place for them, and
# sliders that nobody can set.
_FAULTS = """(panel, controls) => {
  const right = panel.getBoundingClientRect().right + 1;
  const seen = [...panel.querySelectorAll(controls)].filter(each => each.getBoundingClientRect().width > 0);
  const out = seen.filter(each => each.getBoundingClientRect().right > right
    && !each.closest("[role=region][tabindex]"));
  const cut = seen.filter(each => each.matches("button, .widget-readout, .lm-TabBar-tabLabel")
    && each.scrollWidth > each.clientWidth + 1);
  const small = [...panel.querySelectorAll(".slider")].filter(each => {
    const width = each.getBoundingClientRect().width;
    return width > 0 && width < 100;
  });
  return [seen.length, [...out, ...cut, ...small].map(each => `${each.tagName} ${each.className} ${each.textContent}`)];
}"""


@pytest.fixture(scope="module")
def lab(browser: "Browser", root: Path, home: Path) -> Iterator["Page"]:
    """All panels below each other."""
    codes = [f"from fpnkit.widgets import {name}\n{name}()" for name in PANELS]
    notebook = new_notebook(cells=[new_code_cell(code) for code in codes], metadata=KERNEL)
    nbformat.write(notebook, root / "narrow.ipynb")
    with jupyter_lab(root, home) as address, page(browser, height=3000) as made:
        made.set_viewport_size({"width": 800, "height": 3000})
        open_notebook(made, address, "narrow.ipynb")
        run_all(made)
        yield made


@pytest.mark.parametrize("name", PANELS)
def test_nothing_is_cut_and_nothing_stands_out(lab: "Page", name: str) -> None:
    panel = lab.locator(".jp-OutputArea-output > .widget-box").nth(PANELS.index(name))
    panel.wait_for()
    if name == "PyramidViewer":
        panel.get_by_role("img", name="original, decoded").wait_for()
    width = panel.evaluate("panel => panel.getBoundingClientRect().width")
    assert width < 420
    count, faults = panel.evaluate(f"panel => ({_FAULTS})(panel, '{_CONTROLS}')")
    assert count > 5
    assert faults == []
