"""Results of one encoder are never taken for those of another."""

import json
import shutil
from pathlib import Path

import pytest
import zstandard

from fpnkit.anchors.__main__ import main
from fpnkit.ratedist.table import read_points
from fpnkit.runs.results import read_summary

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data: {train: {kind: shapes, images: 4}, test: {kind: shapes, images: 1, seed: 5}}
loss: {lambda: 2.5e-4}
training: {epochs: 1}
"""


VERSION = zstandard.__version__


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def measure(home: Path) -> None:
    assert main(["--config", str(home / "config.yaml"), "--only", "zstd", "--qualities", "4"]) == 0


def measured(home: Path) -> list[Path]:
    """Directories, the oldest first."""
    found = (home / "checkpoints" / "anchors").glob("shapes_1_seed_5_shapes_fcos/*/features_zstd/4")
    return sorted(found, key=lambda path: read_summary(path).created or "")


def curves(home: Path) -> dict[str, list[Path | None]]:
    """Name → directories of its points."""
    found = read_points([], home=home).curves
    return {curve.name.replace(VERSION, "VERSION"): [point.directory for point in curve.points] for curve in found}


def test_after_an_upgrade_of_the_encoder_an_anchor_is_measured_anew_beside_the_old_result(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(home)
    (old,) = measured(home)
    before = {path: path.stat().st_mtime_ns for path in old.rglob("*")}
    monkeypatch.setattr(zstandard, "__version__", "99.0")
    measure(home)
    first, second = measured(home)
    assert first == old
    assert {path: path.stat().st_mtime_ns for path in old.rglob("*")} == before
    version = ".".join(map(str, zstandard.ZSTD_VERSION))
    assert read_summary(second).encoder == f"zstandard 99.0, Zstandard {version}, level 19"
    assert json.loads((second / "identity.json").read_text())["encoder"] == read_summary(second).encoder
    assert curves(home) == {"features_zstd": [second], "features_zstd (zstandard VERSION)": [first]}


def test_results_from_before_encoders_were_noted_are_drawn_but_measured_anew(home: Path) -> None:
    measure(home)
    (new,) = measured(home)
    old = new.parents[1].with_name("00000000") / "features_zstd" / "4"
    shutil.move(new.parents[1], old.parents[1])
    for name in ("summary.json", "identity.json"):
        values = json.loads((old / name).read_text())
        del values["encoder"]
        (old / name).write_text(json.dumps(values))
    assert curves(home) == {"features_zstd": [old]}
    measure(home)
    assert measured(home) == [old, new]
    assert curves(home) == {"features_zstd": [new], "features_zstd (encoder not noted)": [old]}
