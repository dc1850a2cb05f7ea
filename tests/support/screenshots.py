"""Pictures of every panel in JupyterLab, light and dark, narrow and wide, to be looked at.

python -m tests.support.screenshots FOLDER      # FPNKIT_HOME with runs, else the test runs
"""

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page

from tests.support.jupyter import chromium, jupyter_lab, page
from tests.support.lab import KERNEL, open_notebook, run_all
from tests.support.store import CONFIG_FILE, copy_store
from tests.support.trainings import end_all, write_configs

_HEIGHT = 2600
_BESIDE = 460  # pixels of the window that JupyterLab needs for itself
_WIDTHS = (700, 1100, 1800)  # of panels


_TRAINING = "TrainingPanel('configs', 'runs', dark=DARK)"


@dataclass(frozen=True)
class Shot:
    """A panel in one state."""

    name: str
    code: str  # of the panel; DARK is replaced
    act: Callable[[Page], None] = lambda page: None


def _tab(title: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("tab", name=title, exact=True).click()


def _compare(page: Page) -> None:
    _tab("Compare")(page)
    page.get_by_label("Compare with").select_option(index=[1, 2])
    page.get_by_role("columnheader", name="Settings").wait_for()


def _ask(page: Page) -> None:
    _tab("Archive")(page)
    page.get_by_label("Run", exact=True).select_option(index=3)
    page.get_by_role("button", name="Move to the trash").click()
    page.get_by_role("button", name="Cancel").wait_for()


def _pyramid(title: str, words: str) -> Callable[[Page], None]:
    """Until the figure of this tab is there, or what is said instead."""

    def act(page: Page) -> None:
        _tab(title)(page)
        page.get_by_role("img", name=words).or_(page.get_by_text("No map of the bits")).first.wait_for()

    return act


def _against(page: Page) -> None:
    page.get_by_label("BD-rate against").select_option(label="jpeg_input")
    page.get_by_role("columnheader", name="BD-rate %").wait_for()


def _these(page: Page) -> None:
    page.get_by_label("Runs", exact=True).select_option(label="these")
    page.get_by_label("Anchors", exact=True).select_option(label="these")
    page.get_by_label("These anchors").select_option(index=[0, 5])
    page.get_by_label("logarithmic rate").click()
    page.get_by_label("y axis").select_option(label="self-mAP (%)")
    page.get_by_role("img", name="self-mAP (%) over rate").wait_for()
    page.get_by_role("table", name="points").get_by_role("button", name="factorized").first.click()


def _point(page: Page) -> None:
    """At the second point of the first curve, which is chosen."""
    page.get_by_text("Rate at a share of the ceiling").wait_for()
    page.locator(".fpnkit-pointer").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.locator(".fpnkit-pointer .ring").wait_for()


def _mistype(page: Page) -> None:
    page.get_by_label("Lambda, or several").fill("1e-3")
    page.get_by_label("Other settings").fill("training.crp=128")
    page.get_by_text("unknown key").wait_for()


def _check(page: Page) -> None:
    page.get_by_label("Config", exact=True).select_option(label="long.yaml")
    page.get_by_role("button", name="Check first").click()
    page.get_by_text("✔ everything is in order").wait_for()


def _start(config: str, lambdas: str, epochs: str, *awaited: str) -> Callable[[Page], None]:
    """Real processes; `take` ends them."""

    def act(page: Page) -> None:
        page.get_by_label("Config", exact=True).select_option(label=config)
        page.get_by_label("Lambda, or several").fill(lambdas)
        page.get_by_label("Epochs").fill(epochs)
        page.get_by_role("button", name="Start", exact=True).click()
        for text in awaited:
            page.get_by_text(text).first.wait_for()

    return act


def _sweep(page: Page) -> None:
    """The example, half done."""
    _start(CONFIG_FILE.name, "3e-6 2e-5 1e-4 5e-4 2.5e-3", "")(page)
    page.get_by_text("2 of 5 finished · 2").wait_for()  # and the third has a run directory
    page.get_by_text(re.compile("epoch (9|1.)/16")).wait_for()
    for _ in range(2):
        page.get_by_label("dark figures").click()  # draws what came since


SHOTS = [
    Shot("runs_details", "RunBrowser(dark=DARK)"),
    Shot("runs_compare", "RunBrowser(dark=DARK)", _compare),
    Shot("runs_notes", "RunBrowser(dark=DARK)", _tab("Notes")),
    Shot("runs_trash", "RunBrowser(dark=DARK)", _ask),
    Shot("runs_none", "RunBrowser('/nowhere', dark=DARK)"),
    Shot("training_mistyped", _TRAINING, _mistype),
    Shot("training_check", _TRAINING, _check),
    Shot("training_live", _TRAINING, _start("long.yaml", "1e-3", "", "steps/s", "Numbers")),
    Shot("training_sweep", _TRAINING, _sweep),
    Shot("training_crash", _TRAINING, _start("broken.yaml", "", "", "✖ failed")),
    Shot("rd_pointed", "RDExplorer(dark=DARK)", _point),
    Shot("rd_against", "RDExplorer(dark=DARK)", _against),
    Shot("rd_these", "RDExplorer(dark=DARK)", _these),
    Shot("rd_none", "RDExplorer('/nowhere', dark=DARK)"),
    Shot("features_channels", "PyramidViewer(dark=DARK)", _pyramid("Channels", "original, decoded")),
    Shot("features_bits", "PyramidViewer(dark=DARK)", _pyramid("Bits", "Heat over")),
    Shot("features_objects", "PyramidViewer(dark=DARK)", _pyramid("Objects", "Detections in")),
    Shot("features_none", "PyramidViewer('/nowhere', dark=DARK)"),
]


def take(folder: Path, home: Path, dark: bool, width: int, names: list[str]) -> None:
    """`<name>_<width>_light.png` or `<name>_<width>_dark.png` for each."""
    shots = [shot for shot in SHOTS if shot.name in names]
    root = Path(tempfile.gettempdir()) / "fpnkit"  # is read in the pictures
    root.mkdir()
    try:
        for shot in shots:
            code = f"from ipywidgets import VBox\nfrom fpnkit.widgets import *\nbox = VBox([{shot.code}])\n"
            code = code.replace("DARK", str(dark)) + f"box.layout.width = '{width}px'\nbox"
            notebook = new_notebook(cells=[new_code_cell(code)], metadata=KERNEL)
            nbformat.write(notebook, root / f"{shot.name}.ipynb")
        os.environ["PYTHONPATH"] = str(write_configs(root))
        shutil.copy(CONFIG_FILE, root / "configs")
        with chromium() as browser, jupyter_lab(root, home, dark=dark) as address, page(browser) as lab:
            lab.set_viewport_size({"width": width + _BESIDE, "height": _HEIGHT})
            for shot in shots:
                open_notebook(lab, address, f"{shot.name}.ipynb")
                run_all(lab)
                panel = lab.locator(".jp-OutputArea-output > .widget-box").first
                panel.wait_for()
                shot.act(lab)
                lab.wait_for_timeout(1500)  # for the eye only: no check depends on it
                panel.screenshot(path=folder / f"{shot.name}_{width}_{'dark' if dark else 'light'}.png")
                end_all(root / "runs")
    finally:
        shutil.rmtree(root)


def main() -> None:
    """Take those that are asked for."""
    names = [shot.name for shot in SHOTS]
    parser = argparse.ArgumentParser(prog="python -m tests.support.screenshots")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--widths", nargs="+", type=int, default=_WIDTHS, help="of the panels, in pixels")
    parser.add_argument("--themes", nargs="+", choices=("light", "dark"), default=("light", "dark"))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(os.environ["FPNKIT_HOME"]) if "FPNKIT_HOME" in os.environ else copy_store(Path(scratch) / "home")
        for theme in asked.themes:
            for width in asked.widths:
                take(asked.folder, runs, theme == "dark", width, asked.only)


if __name__ == "__main__":
    main()
