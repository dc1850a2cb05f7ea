"""Every notebook with other runs than those it was recorded with: the newest are of another kind, or there are few."""

from pathlib import Path

import nbformat
import pytest
from jupyter_client import launcher
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from fpnkit.runs.store import NONE_YET, list_runs
from tests.support import ROOT, few_runs, warm
from tests.support.other_runs import make_newest
from tests.support.store import copy_store

NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.stem != "01_train"}
ALONE = "06_your_data_and_detector"  # makes a run of its own, so that one home is enough
# A panel shows its failures and goes on; here they are raised.
LOOK = """
from fpnkit.widgets.common.panel import Panel

for panel in [each for each in globals().values() if isinstance(each, Panel)]:
    panel.raise_failures()
"""
BEGINNERS = {"nothing": few_runs.empty, "training": few_runs.training, "not evaluated": few_runs.not_evaluated}
NEWEST = ["tiny_rtdetr", "Mean", "Mean", "shapes_fcos"]  # the last a whole curve
MISSING = f"base directory BASE: does not exist: {NONE_YET}"
NOT_FINISHED = (
    "runs: required at least one with a model, found none; "
    "still training: 20261101_105000; try again when a run has finished"
)
STOPS = {  # what a page says where it cannot go on
    ("nothing", "00_tour"): MISSING,
    ("nothing", "02_runs"): MISSING,
    ("nothing", "03_rate_distortion"): f"nothing to show: {NONE_YET}",
    ("nothing", "04_fpn_analysis"): f"BASE: {NONE_YET}",
    ("nothing", "05_python"): MISSING,
    ("training", "00_tour"): NOT_FINISHED,
    ("training", "02_runs"): "diff: required two runs or more, found 0",
    ("training", "03_rate_distortion"): (
        "nothing to show: no run has an evaluation or a validation; one is drawn from its first epoch on\n"
        "run 20261101_105000: left out: running, without an evaluation or a validation so far"
    ),
    ("training", "04_fpn_analysis"): (
        "run BASE/RUN: required best_model.pth, found none; it has not finished an epoch: try again when it has"
    ),
    ("training", "05_python"): NOT_FINISHED,
    ("not evaluated", "02_runs"): "diff: required two runs or more, found 1",
}


@pytest.fixture(autouse=True)
def _warm_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "Popen", warm.Popen)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_store(tmp_path_factory.mktemp("newest") / "home")
    make_newest(folder)
    assert [run.detector for run in list_runs(folder / "checkpoints" / "fpn_compression")[:4]] == NEWEST
    return folder


def run_all(name: str) -> None:
    """Raises `CellExecutionError` at the first cell that fails, other than those that are to fail."""
    path = NOTEBOOKS[name]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell(LOOK))
    try:
        NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(path.parent)}}).execute()
    finally:
        assert [output.text for output in outputs_of(notebook) if output.get("name") == "stderr"] == []


def outputs_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name != ALONE])
def test_it_runs_from_top_to_bottom_when_those_of_others_are_the_newest(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(home))
    run_all(name)


@pytest.mark.parametrize(
    ("beginner", "name"),
    [
        pytest.param(beginner, name, marks=[pytest.mark.slow] if name == ALONE else [])
        for beginner in BEGINNERS
        for name in NOTEBOOKS
        if beginner == "nothing" or name != ALONE
    ],
)
def test_a_beginner_gets_to_the_end_or_is_told_what_to_do(
    beginner: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BEGINNERS[beginner](tmp_path)
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    expected = STOPS.get((beginner, name))
    if expected is None:
        return run_all(name)
    with pytest.raises(CellExecutionError) as error:
        run_all(name)
    base = tmp_path / "checkpoints" / "fpn_compression"
    run = next((path.name for path in base.glob("run_*")), "")
    assert error.value.evalue == expected.replace("BASE", str(base)).replace("RUN", run)
