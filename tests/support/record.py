"""Run notebooks on the test runs and keep their outputs: what `pytest --nbval notebooks` then compares with.

python -m tests.support.record [NOTEBOOK …]      # default: all; read the difference before you commit it
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.support import ROOT
from tests.support.store import copy_store

NOTEBOOKS = ROOT / "notebooks"
SHOWN_HOME = "/home/you/fpnkit"  # in place of wherever this machine had the test runs


def record(path: Path) -> None:
    """Execute from top to bottom in a copy of the store, and write the outputs into the notebook."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        home = str(copy_store(Path(folder) / "home"))
        client = NotebookClient(
            notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}, store_widget_state=False
        )
        client.execute(env={**os.environ, "FPNKIT_HOME": home})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    path.write_text(nbformat.writes(notebook).replace(home, SHOWN_HOME) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(map(str, NOTEBOOKS.glob("*.ipynb"))):
        record(Path(name))
        print("recorded", name, flush=True)
