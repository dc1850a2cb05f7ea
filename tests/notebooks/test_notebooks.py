"""What the notebooks must be, so that `pytest --nbval notebooks` checks something and people can read them."""

import ast
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm
from tests.support.store import MADE, store

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 6  # lines
MOST_IGNORED = 0.2  # of the cells with output
_IGNORED = re.compile(r"NBVAL_(IGNORE_OUTPUT|SKIP)|nbval-(ignore-output|skip)")
_LOGIC = ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks() -> None:
    names = ["00_tour", "01_train", "02_runs", "03_rate_distortion", "04_fpn_analysis", "05_python"]
    assert [path.stem for path in NOTEBOOKS] == [*names, "06_your_data_and_detector"]


@each_notebook
def test_every_cell_was_run_once_from_top_to_bottom(path: Path) -> None:
    """nbval compares nothing in a cell that has no number."""
    assert [cell["execution_count"] for cell in cells(path)] == list(range(1, len(cells(path)) + 1))


@each_notebook
def test_outputs_are_there_and_hardly_any_is_ignored(path: Path) -> None:
    with_output = [cell for cell in cells(path) if cell["outputs"]]
    ignored = [cell for cell in with_output if _IGNORED.search(source(cell) + json.dumps(cell["metadata"]))]
    assert len(with_output) >= 3
    assert len(ignored) <= MOST_IGNORED * len(with_output)


@each_notebook
def test_no_output_is_a_failure_or_names_the_machine_that_recorded_it(path: Path) -> None:
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    shown = [cell for cell in cells(path) if "raises-exception" in cell["metadata"].get("tags", [])]
    errors = [output for output in outputs if output["output_type"] == "error"]
    assert [error["ename"] for error in errors] == ["UserError"] * len(shown), "only those that a page is about"
    assert [error["traceback"] for error in errors] == [[f"UserError: {error['evalue']}"] for error in errors]
    assert re.findall(r"/(?:tmp|work|root|opt)/[\w/.-]*", path.read_text()) == []


@each_notebook
def test_cells_are_short_and_have_no_logic(path: Path) -> None:
    long = [source(cell) for cell in cells(path) if len(source(cell).splitlines()) > LONGEST_CELL]
    assert long == []
    trees = [ast.parse(re.sub(r"^[%!].*", "", source(cell), flags=re.MULTILINE)) for cell in cells(path)]
    assert [ast.dump(node) for tree in trees for node in ast.walk(tree) if isinstance(node, _LOGIC)] == []


@pytest.mark.parametrize("name", ["00_tour", "05_python", "06_your_data_and_detector"])
def test_pages_that_people_copy_from_import_fpnkit_alone(name: str) -> None:
    code = "\n".join(map(source, cells(ROOT / "notebooks" / f"{name}.ipynb")))
    found = [ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [line for line in found if "fpnkit" in line] == ["import fpnkit as fk"]


def test_a_missing_package_is_named_in_one_line() -> None:
    code = "import sys; sys.modules['onnxruntime'] = None\ntry: import stand_in\nexcept Exception as e: print(repr(e))"
    done = warm.run([sys.executable, "-c", code], cwd=ROOT / "notebooks", timeout=120)
    said = """UserError('this notebook needs onnxruntime: pip install "fpnkit[onnx]"')\n"""
    assert (done.returncode, done.stdout) == (0, said), done.stderr


@each_notebook
def test_figures_are_seen(path: Path) -> None:
    """Without `%matplotlib inline` a figure is the text `<Figure …>`, which nbval finds as good."""
    data = [output.get("data", {}) for cell in cells(path) for output in cell["outputs"]]
    assert [each for each in data if "<Figure" in str(each.get("text/plain")) and "image/png" not in each] == []
    assert [each for each in data if "image/png" in each]


@each_notebook
def test_it_helps_those_without_runs_and_those_with_data_of_their_own(path: Path) -> None:
    assert any("ExampleSweep(base_dir)" in source(cell) for cell in cells(path)[:2])
    text = "\n".join(source(cell) for cell in cells(path, "markdown"))
    assert "*Your own data and detectors* in the README" in text
    assert "## Your own data and detectors" in (ROOT / "README.md").read_text().splitlines()


@each_notebook
def test_it_tells_a_story_and_how_to_serve_it(path: Path) -> None:
    text = [source(cell) for cell in cells(path, "markdown")]
    assert text[0].startswith("# ")
    assert sum(part.startswith("## ") for part in text) >= 3
    assert f"voila notebooks/{path.name}" in text[0]


def test_nothing_but_paths_is_replaced_before_comparing() -> None:
    rules = re.findall(r"^regex: (.*)$", (Path(__file__).parent / "sanitize.cfg").read_text(), re.MULTILINE)
    numbers = ["0.5", "2.5e-04", "1,234 runs", "run_20261101_103000_lambda_5.00e-04", "-3 dB", "12%"]
    assert rules
    assert [text for text in numbers for rule in rules if re.search(rule, text)] == []


@pytest.mark.skipif(importlib.util.find_spec("nbval") is None, reason="needs nbval")
def test_a_wrong_number_in_an_output_fails(tmp_path: Path) -> None:
    """The real comparison on a notebook with one stored digit changed."""
    notebook = json.loads((ROOT / "notebooks" / "02_runs.ipynb").read_text())
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in ("base", "frame", "query")]
    changed = json.dumps(notebook).replace("2e-05  run_20261101_095000", "3e-05  run_20261101_095000")
    assert changed != json.dumps(notebook)
    (tmp_path / "changed.ipynb").write_text(changed)
    shutil.copy(ROOT / "notebooks" / "conftest.py", tmp_path)
    done = warm.run(
        [sys.executable, "-m", "pytest", "--nbval", "-c", str(ROOT / "pyproject.toml"), "-q", str(tmp_path)],
        env={**os.environ, MADE: str(store())},
        cwd=ROOT,
        timeout=280,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "changed.ipynb::Cell 2" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
    assert "3e-05" in done.stdout
