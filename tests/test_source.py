"""The rules that the source itself keeps."""

import ast
import graphlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("fpnkit", "tests") for path in (ROOT / folder).rglob("*.py"))

# The rooms, base to top: a file imports only from rooms that stand before its own, and from its own.
LAYERS = [
    "errors",
    "foundation",
    "config",
    "geometry",
    "container",
    "runs",
    "torch_files",
    "pyramid",
    "data",
    "detectors",
    "metrics",
    "distortions",
    "codecs",
    "training",
    "anchors",
    "evaluation",
    "probes",
    "ratedist",
    "plots",
    "analysis",
    "launch",
    "widgets",
    "cli",
    "init",
    "keys",
    "train",
    "bitstream",
    "evaluate",
    "rd",
    "sweep",
    "analyze",
    "probe",
    "api",
    "boxes",
]
TORCH_FREE = (
    "errors",
    "foundation",
    "config",
    "geometry",
    "container",
    "runs",
    "ratedist",
    "plots",
    "launch",
    "cli",
    "rd",
    "sweep",
)


PACKAGE = sorted((ROOT / "fpnkit").rglob("*.py"))


def room_of(path: Path) -> str:
    """The room that a file stands in; what `python -m` runs stands above all of them."""
    parts = path.relative_to(ROOT / "fpnkit").with_suffix("").parts
    return LAYERS[-1] if parts[-1] == "__main__" else parts[0]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path) for path in PACKAGE}


def imports(path: Path, statements: Iterator[ast.AST] | None = None) -> Iterator[str]:
    for node in statements or ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)


def test_every_import_points_to_a_room_below() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in PACKAGE
        for module in imports(path)
        if room_of(path) != "__init__" and module.startswith("fpnkit.")
        if LAYERS.index(module.split(".")[1]) > LAYERS.index(room_of(path))
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {name_of(path): {module for module in imports(path) if module in MODULES} for path in PACKAGE}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_only_codecs_import_compressai() -> None:
    wrong = [path for path in PACKAGE for module in imports(path) if module.split(".")[0] == "compressai"]
    assert {room_of(path) for path in wrong} == {"codecs"}


def test_rooms_that_read_files_load_no_torch() -> None:
    modules = [name_of(path) for path in PACKAGE if room_of(path) in TORCH_FREE and path.name != "__main__.py"]
    code = f"import sys, importlib; [importlib.import_module(m) for m in {modules}]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_no_file_is_longer_than_400_lines() -> None:
    assert [str(path) for path in SOURCES if len(path.read_text().splitlines()) > 400] == []


@pytest.mark.parametrize("command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_lint_format_and_types_are_clean(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_conda_installs_this_project_with_all_its_extras_and_nothing_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    extras = ",".join(sorted(project["optional-dependencies"]))
    assert dependencies == [f"python {project['requires-python']}", "pip", {"pip": [f"-e .[{extras}]"]}]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert command.startswith("python3 -m venv .venv && ")
    assert command in (ROOT / "README.md").read_text().splitlines()


def test_the_newest_version_stands_in_the_changelog() -> None:
    from fpnkit import __version__

    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0].split()[1] == __version__
