"""Every notebook with the runs of a lab: several detectors, data sets and codecs, evaluated and not."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from tests.support import ROOT, store, warm

NOTEBOOKS = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.stem != "01_train"]
# A panel shows its failures and goes on; here they are raised.
LOOK = """
from fpnkit.widgets.common.panel import Panel

for panel in [each for each in globals().values() if isinstance(each, Panel)]:
    panel.raise_failures()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = store.copy_store(tmp_path_factory.mktemp("mixed") / "home")
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.mixed_store", str(folder)]
    done = warm.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    expected = [cell.id for cell in notebook.cells if "raises-exception" in cell.metadata.get("tags", [])]
    notebook.cells.append(new_code_cell(LOOK))
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {id for id, output in outputs if output.output_type == "error"} <= set(expected)
    assert [output.text for _, output in outputs if output.get("name") == "stderr"] == []
