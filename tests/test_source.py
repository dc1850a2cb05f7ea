"""The rules that the source itself keeps."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("fpnkit", "tests") for path in (ROOT / folder).rglob("*.py"))

# Base to top: a part imports only from parts that stand before it, and from itself.
LAYERS = [
    "errors",
    "config",
    "runs",
    "container",
    "torch_files",
    "pyramid",
    "data",
    "detectors",
    "codecs",
    "metrics",
    "analysis",
    "training",
    "evaluation",
    "plots",
    "report",
    "launch",
    "widgets",
    "train",
    "bitstream",
    "evaluate",
    "anchors",
    "rd",
    "sweep",
    "analyze",
]
TORCH_FREE = ("errors", "config", "runs", "container", "plots", "launch", "rd", "sweep")


def part_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module in ("fpnkit", *(f"fpnkit.{layer}" for layer in LAYERS)):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_every_import_points_to_a_layer_below() -> None:
    wrong = []
    for path in sorted((ROOT / "fpnkit").rglob("*.py")):
        own = path.relative_to(ROOT / "fpnkit").with_suffix("").parts[0]
        if own == "__init__":
            continue
        for module in imports(path):
            if module.startswith("fpnkit.") and LAYERS.index(part_of(module)) > LAYERS.index(own):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


def test_base_layers_import_no_torch_and_only_codecs_import_compressai() -> None:
    wrong = []
    for path in sorted((ROOT / "fpnkit").rglob("*.py")):
        own = path.relative_to(ROOT / "fpnkit").with_suffix("").parts[0]
        for module in imports(path):
            top = module.split(".")[0]
            if (top in ("torch", "torchvision") and own in TORCH_FREE) or (top == "compressai" and own != "codecs"):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


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
