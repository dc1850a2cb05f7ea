"""The panel of trainings in JupyterLab beside a real Slurm of two cores: a sweep that waits, runs and is ended."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from fpnkit.foundation import slurm
from fpnkit.runs.store import list_runs
from tests.support import ROOT
from tests.support.jupyter import jupyter_lab, page
from tests.support.lab import KERNEL, open_notebook, run_all
from tests.support.run_processes import until
from tests.support.slurm_server import SlurmServer, running
from tests.support.trainings import write_configs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slurm

CELLS = ["from fpnkit.widgets import *\nTrainingPanel('configs', 'runs')", "browser = RunBrowser('runs')\nbrowser"]
PATIENCE = 120  # seconds, for two trainings to begin side by side on a busy machine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SlurmServer]:
    (tmp_path / "slurm").mkdir()
    with running(tmp_path / "slurm") as made:
        yield made
        made.clear()


@pytest.fixture
def lab(browser: "Browser", tmp_path: Path, server: SlurmServer) -> Iterator["Page"]:
    project = tmp_path / "project"
    project.mkdir()
    nbformat.write(new_notebook(cells=[new_code_cell(each) for each in CELLS], metadata=KERNEL), project / "it.ipynb")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", f"{write_configs(project)}{os.pathsep}{ROOT}", prepend=os.pathsep)
        for name, value in server.environment.items():
            environment.setenv(name, value)
        slurm.ask_again()
        with jupyter_lab(project, tmp_path / "home") as address, page(browser, height=2400) as made:
            open_notebook(made, address, "it.ipynb")
            run_all(made)
            yield made
    slurm.ask_again()


def states(base: Path) -> list[str]:
    return sorted(run.status for run in list_runs(base)) if base.exists() else []


def count_in_strip(panel: "Locator", status: str, count: int) -> None:
    from playwright.sync_api import expect

    badge = panel.locator("span > span", has_text=re.compile(f"^. {status}$"))
    expect(badge).to_have_count(count, timeout=PATIENCE * 1000)


def attach(panel: "Locator", label: re.Pattern[str]) -> None:
    """To the first of what is under way with such a label."""
    choice = panel.get_by_label("Running", exact=True)
    first = choice.locator("option", has_text=label).first
    choice.select_option(label=first.inner_text())
    press(panel, "Attach")


def press(panel: "Locator", name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


@pytest.mark.slow
def test_a_sweep_waits_runs_and_is_ended(lab: "Page", server: SlurmServer, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    base = tmp_path / "project" / "runs"
    panel = lab.locator(".jp-OutputArea-output", has=lab.get_by_role("button", name="Start", exact=True))
    panel.get_by_label("Config", exact=True).select_option(label="long.yaml")
    panel.get_by_label("Where", exact=True).select_option(label="Slurm")
    panel.get_by_label("Lambda, or several").fill("1e-4 1e-3 1e-2")
    panel.get_by_label("Time limit").fill("30")
    panel.get_by_label("Partition").fill("nowhere")
    press(panel, "Start")
    expect(panel.get_by_text("sbatch refused: invalid partition specified: nowhere").first).to_be_visible()
    panel.get_by_label("Partition").fill("")
    command = re.compile(r"^python -m fpnkit\.sweep .* --on slurm --slurm time=30 --base-dir \S+$")
    expect(panel.get_by_label("Command", exact=True)).to_have_value(command)
    press(panel, "Start")
    expect(panel.get_by_text("◷ queued").first).to_be_visible()
    until(lambda: states(base) == ["running"] * 2, PATIENCE)
    count_in_strip(panel, "running", 2)
    count_in_strip(panel, "queued", 1)
    waiting = server.queue().splitlines()
    (job,) = [line.partition("|")[0] for line in waiting if "|PENDING|" in line]
    expect(panel.get_by_text(f"job {job}: Resources").first).to_be_visible()
    expect(panel.get_by_text(re.compile(r"epoch \d+/1000 · step \d+"))).to_be_visible()

    lab.get_by_title("Read the directory again").click()
    expect(lab.get_by_text(f"1 queued: job {job}: Resources: train lambda")).to_be_visible()

    attach(panel, re.compile("epoch"))
    expect(panel.get_by_text(re.compile(r"run_\w+_lambda_\S+ · epoch"))).to_be_visible()
    press(panel, "Stop")
    expect(panel.get_by_text("■ stopped")).to_be_visible()
    until(lambda: states(base) == ["running", "running", "stopped"], PATIENCE)  # it took the core that came free
    press(panel, "Resume")  # behind them
    expect(panel.get_by_text("◷ queued")).to_be_visible()
    again = re.compile(r"job \d+_0: (Resources|Priority)")
    expect(panel.get_by_text(again).first).to_be_visible()
    assert states(base) == ["queued", "running", "running"]
    press(panel, "Stop")
    expect(panel.get_by_text("■ stopped")).to_be_visible()
    until(lambda: states(base) == ["running", "running", "stopped"], PATIENCE)

    attach(panel, re.compile(r"^sweep\s.*:\s2\srunning$"))
    expect(panel.get_by_text(re.compile(r"sweep \w+ · \d of 3 finished"))).to_be_visible()
    press(panel, "Kill…")
    press(panel, "Yes, kill it")
    until(lambda: states(base) == ["killed", "killed", "stopped"], PATIENCE)
    expect(panel.get_by_text("■ ended")).to_be_visible()
