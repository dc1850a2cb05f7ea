"""The package as others install it: built, put where no checkout is, and used."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fpnkit.config.keys import json_schema

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves its files beside the source
    for name in ("fpnkit", "configs", "notebooks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(source), *options], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("fpnkit-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked into a folder of its own, which comes before the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--quiet", "--target", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(wheel)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def call(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    environment.pop("FPNKIT_HOME", None)
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_wheel_holds_configs_notebooks_and_weights_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    beside = {f"fpnkit/shipped/notebooks/{name}" for name in ("onnx_detector.py", "stand_in.py")}
    for folder, pattern, more in (("configs", "**/*.yaml", set()), ("notebooks", "*.ipynb", beside)):
        expected = {f"fpnkit/shipped/{path.relative_to(ROOT)}" for path in (ROOT / folder).glob(pattern)}
        assert expected
        expected |= more
        assert {name for name in names if name.startswith(f"fpnkit/shipped/{folder}/")} == expected
    assert "fpnkit/assets/shapes_fcos.safetensors" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"fpnkit"}


def test_a_project_is_begun_and_used_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    begun = call(installed, tmp_path, "-m", "fpnkit", "init", "lab")
    assert begun.returncode == 0, begun.stderr
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    counts = f"{len(list((ROOT / 'configs').rglob('*.yaml')))} configs and {len(notebooks)} notebooks"
    assert begun.stdout.startswith(f"lab: {counts}. Next:\n")
    there = {path.name for path in (tmp_path / "lab" / "notebooks").iterdir()}
    assert there == {"onnx_detector.py", "stand_in.py", *(path.name for path in notebooks)}
    code = "import fpnkit, fpnkit.widgets as w; print(fpnkit.__file__); print(w.ExampleSweep()._config.is_file())"
    assert call(installed, tmp_path, "-c", code).stdout.split() == [f"{installed}/fpnkit/__init__.py", "True"]
    few = ["--set", "data.train.images=8", "--set", "data.val.images=2", "--set", f"cache.directory={tmp_path}/f"]
    dry = call(
        installed,
        tmp_path / "lab",
        "-m",
        "fpnkit",
        "train",
        "--config",
        "configs/example_sweep.yaml",
        "--dry-run",
        *few,
    )
    assert dry.returncode == 0, dry.stderr
    assert dry.stderr.splitlines()[-1].endswith(f"a run would be created in {tmp_path}/lab/checkpoints/fpn_compression")


def test_configs_of_a_project_point_to_the_schema_of_their_keys(installed: Path, tmp_path: Path) -> None:
    call(installed, tmp_path, "-m", "fpnkit", "init", "lab")
    schema = json.loads((tmp_path / "lab" / "configs" / "fpnkit.schema.json").read_text())
    assert schema == json_schema()
    for config in (tmp_path / "lab" / "configs").rglob("*.yaml"):
        first, _, rest = config.read_text().partition("\n")
        start, path = first.split("$schema=")
        assert start == "# yaml-language-server: "
        assert json.loads((config.parent / path).read_text()) == schema
        assert rest == (ROOT / config.relative_to(tmp_path / "lab")).read_text()


def test_nothing_is_overwritten(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "lab" / "configs").mkdir(parents=True)
    again = call(installed, tmp_path, "-m", "fpnkit", "init", "lab")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "fpnkit init: lab: required no configs and no notebooks in it, found configs\n"
    (tmp_path / "file").write_text("")
    taken = call(installed, tmp_path, "-m", "fpnkit", "init", "file")
    assert taken.stderr == "fpnkit init: file: required a folder or nothing, found a file\n"
