"""The notebook of trainings as a person uses it: started, left, found again, stopped, gone on with; and as an app."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from fpnkit.launch.stop import stop
from fpnkit.launch.wait import until_ended
from fpnkit.launch.watch import running, see
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from tests.support.jupyter import jupyter_lab, page, voila
from tests.support.lab import KERNEL, choose, open_notebook, restart, run_first, tab_to
from tests.support.run_processes import until
from tests.support.trainings import LOG_EVERY, end_all, steps_grow, write_configs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "01_train.ipynb"
PATIENCE = 60  # seconds, for a training to begin on a busy machine


@pytest.fixture(scope="module")
def base_dir(home: Path) -> Iterator[Path]:
    """Where runs go; whatever happens, nothing runs there in the end."""
    base = home / "checkpoints" / "fpn_compression"
    yield base
    end_all(base)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`notebooks/` and, beside it, the configs that are there and two of this test's own."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "notebooks").mkdir()
    shutil.copy(NOTEBOOK, folder / "notebooks")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(write_configs(folder)), prepend=os.pathsep)
        yield folder


@pytest.fixture(scope="module")
def lab(browser: "Browser", project: Path, home: Path, base_dir: Path) -> Iterator["Page"]:
    with jupyter_lab(project, home) as address, page(browser, height=2000, restarts=True) as made:
        open_notebook(made, address, "notebooks/01_train.ipynb")
        show_panel(made)
        yield made


def the_panel(page: "Page") -> "Locator":
    """What the panel's cell shows, once it does."""
    panel = page.locator(".jp-OutputArea-output", has=page.get_by_role("button", name="Start", exact=True))
    panel.wait_for()
    return panel


def show_panel(lab: "Page") -> "Locator":
    """Run the cells up to that of the panel."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    run_first(lab, [cell.id for cell in cells].index("panel") + 1)
    return the_panel(lab)


def step(panel: "Locator") -> int:
    """The step that stands behind the badge."""
    text = panel.get_by_text(re.compile(r"epoch \d+/\d+ · step \d+")).inner_text()
    found = re.search(r"step (\d+)", text)
    assert found
    return int(found[1])


def see_steps_move(panel: "Locator") -> None:
    """Twice, each time to a higher number."""
    for _ in range(2):
        before = step(panel)
        until(lambda before=before: step(panel) > before, PATIENCE)  # type: ignore[misc]


def press(panel: "Locator", name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def attach(panel: "Locator") -> None:
    from playwright.sync_api import expect

    expect(panel.get_by_text("1 under way: attach to see it.")).to_be_visible()
    press(panel, "Attach")
    expect(panel.get_by_text("▶ running")).to_be_visible()


def test_a_training_outlives_page_and_kernel_and_is_stopped_and_resumed(lab: "Page", base_dir: Path) -> None:
    from playwright.sync_api import expect

    panel = the_panel(lab)
    config = panel.get_by_label("Config", exact=True)
    tab_to(lab, config)
    choose(lab, config, "long.yaml")
    expect(panel.get_by_label("Command", exact=True)).to_have_value(
        re.compile(r"^python -m fpnkit.train .*/long.yaml$")
    )
    tab_to(lab, panel.get_by_role("button", name="Start", exact=True))
    lab.keyboard.press("Space")  # until here no mouse
    expect(panel.get_by_text("▶ running")).to_be_visible()
    see_steps_move(panel)
    expect(panel.get_by_role("img", name=re.compile("^Loss, rate and SNR over training steps"))).to_be_visible()
    (item,) = running(base_dir)
    run, pid = item.path, read_record(item.path).pid

    lab.reload()
    lab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    panel = show_panel(lab)
    attach(panel)
    see_steps_move(panel)
    restart(lab)
    panel = show_panel(lab)
    attach(panel)
    see_steps_move(panel)
    assert read_record(run).pid == pid

    press(panel, "Stop")
    expect(panel.get_by_text("■ stopped")).to_be_visible()
    assert (run / "last.pth").exists()
    stopped_at, lines = read_record(run).step, len(read_metrics(run / "metrics.jsonl"))
    press(panel, "Resume")
    until(lambda: len(read_metrics(run / "metrics.jsonl")) > lines, PATIENCE)
    goes_on_at = read_metrics(run / "metrics.jsonl")[lines].step
    # Not from the beginning; a stop at an epoch's last step leaves its validation, a line of the same step, to do.
    assert stopped_at <= goes_on_at <= stopped_at + LOG_EVERY
    until(lambda: step(panel) > stopped_at, PATIENCE)
    press(panel, "Stop")
    expect(panel.get_by_text("■ stopped")).to_be_visible()
    assert read_record(run).step > stopped_at


def test_a_crash_shows_its_traceback(lab: "Page", base_dir: Path) -> None:
    from playwright.sync_api import expect

    panel = the_panel(lab)
    panel.get_by_label("Config", exact=True).select_option(label="broken.yaml")
    press(panel, "Start")
    expect(panel.get_by_text("✖ failed")).to_be_visible()
    shown = panel.locator("pre", has_text="Traceback (most recent call last):").first
    expect(shown).to_contain_text("RuntimeError: the camera <b>is gone</b>")
    assert running(base_dir) == []


@pytest.mark.slow
def test_as_an_app_a_training_outlives_the_closed_tab(
    browser: "Browser", project: Path, home: Path, base_dir: Path
) -> None:
    from playwright.sync_api import expect

    with voila(project / "notebooks" / "01_train.ipynb", home) as address:
        with page(browser) as app:
            app.goto(address)
            panel = the_panel(app)
            expect(app.get_by_text("Traceback (most recent call last)")).to_have_count(0)
            panel.get_by_label("Config", exact=True).select_option(label="long.yaml")
            press(panel, "Start")
            expect(panel.get_by_text("▶ running")).to_be_visible()
            (item,) = running(base_dir)
        steps_grow(item.path)  # the tab is closed, and with it its kernel
    assert see(item.path).running
    stop(item.path)
    assert until_ended(item.path).status == "stopped"


def test_a_front_end_that_cannot_show_panels_says_what_it_needs(browser: "Browser", tmp_path: Path) -> None:
    """JupyterLab without ipywidgets' part of it."""
    code = "from fpnkit.widgets import TrainingPanel\nTrainingPanel(poll_seconds=0)"
    nbformat.write(new_notebook(cells=[new_code_cell(code)], metadata=KERNEL), tmp_path / "plain.ipynb")
    with jupyter_lab(tmp_path, tmp_path / "home", widgets=False) as address, page(browser) as lab:
        open_notebook(lab, address, "plain.ipynb")
        run_first(lab, 1)
        remedy = "run this cell to see it; if this stays: pip install 'fpnkit[notebooks]', reload the page"
        lab.get_by_text(f"<TrainingPanel: {remedy}>").wait_for()
