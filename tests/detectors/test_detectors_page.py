"""docs/detectors.md: names everything, and its code runs."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import TypeAdapter

import fpnkit as fk
from fpnkit.config.identity import detector_name
from fpnkit.config.schema import DetectorSettings
from fpnkit.detectors import base
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "detectors.md").read_text()
PLUGIN_MEMBERS = ("module", "whole", "name")  # that `PluginAdapter` looks for, or gives

CONFIG = """\
task: fpn_compression
detector: {{kind: plugin, class: onnx_detector.py:OnnxDetector, options: {options}}}
data:
  train: {{kind: shapes, images: 3}}
codec: {{kind: factorized}}
loss: {{distortion: {{mse: 1.0}}, lambda: 1e-3}}
training: {{epochs: 1}}
"""
MAKE_FILE = "import sys, pathlib, stand_in; print(stand_in.onnx_file(pathlib.Path(sys.argv[1])))"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def block_with(word: str) -> str:
    (found,) = [block for block in blocks("python") if word in block]
    return found


def public(kind: type) -> set[str]:
    return {name for name, member in vars(kind).items() if not name.startswith("_") and callable(member)} | {
        name for name, member in vars(kind).items() if isinstance(member, property)
    }


@pytest.mark.parametrize(
    "kind",
    [
        *(base.ImageBatch, base.Detections, base.Detector, base.DetectorWithHeads, base.HeadOutput, base.Places),
        *(ImageGeometry, LevelSpec, PyramidSpec),
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_field_and_method_is_explained(kind: type) -> None:
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    methods = public(kind) - {"from_shapes"}
    assert fields | methods
    missing = [name for name in sorted(fields | methods) if not re.search(rf"`(?:spec\.)?{name}\b", TEXT)]
    assert missing == []


def test_what_a_plugin_may_have_is_explained() -> None:
    assert [name for name in PLUGIN_MEMBERS if not re.search(rf"`{name}\b", TEXT)] == []
    assert {name for name in ("sizes", "padded", "cropped") if f"`{name}`" in TEXT} <= public(Pyramid)


def test_code_and_configs_can_be_parsed() -> None:
    assert len(blocks("python")) == 4
    for block in blocks("python"):
        ast.parse(block)
    configs = [yaml.safe_load(block)["detector"] for block in blocks("yaml")]
    accepted = [TypeAdapter(DetectorSettings).validate_python(config) for config in configs]
    assert [detector_name(each) for each in accepted] == [
        "retinanet_resnet50_fpn",
        "rtdetr_v2_r18vd",
        "mean",
        "Ultralytics",
    ]


def test_the_letterbox_is_calculated_right() -> None:
    exec(block_with("place.original_pixels"), {})


def test_the_shortest_detector_is_in_order() -> None:
    scope: dict[str, Any] = {}
    exec(block_with("class Mean"), scope)
    images = [torch.full((3, 64, 96), value, dtype=torch.uint8) for value in (40, 200)]
    report = fk.check(scope["Mean"]({"label": 3}), images)
    assert report.ok, report
    assert report.found[1].boxes.tolist() == [[0, 0, 96, 64]]


def test_points_of_the_check_are_those_that_are_explained() -> None:
    scope: dict[str, Any] = {}
    exec(block_with("class Mean"), scope)
    titles = [finding.title for finding in fk.check(scope["Mean"]({"label": 3})).findings]
    (sample,) = [block for block in blocks("text") if "in order" in block]
    assert [line[13:].split("  ")[0] for line in sample.splitlines()[1:]] == titles
    explained = TEXT.partition("| what failed |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(.+?)` \|", explained, re.MULTILINE) == [
        title for title in titles if title not in ("heads", "speed")
    ]


def test_the_onnx_example_is_the_file_beside_the_notebook() -> None:
    assert block_with("class OnnxDetector") == (ROOT / "notebooks" / "onnx_detector.py").read_text()


def test_the_onnx_example_runs(tmp_path: Path) -> None:
    """A file is made, and the class is tried on it by the command, in processes of their own."""
    made = subprocess.run(
        [sys.executable, "-c", MAKE_FILE, str(tmp_path / "detector.onnx")],
        cwd=ROOT / "notebooks",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    levels = [f"fpn_{name}" for name in ("p2", "p3", "p4", "p5")]
    options = {"file": str(tmp_path / "detector.onnx"), "levels": levels, "classes": ast.literal_eval(made.stdout)}
    (tmp_path / "onnx_detector.py").write_text(block_with("class OnnxDetector"))
    (tmp_path / "config.yaml").write_text(CONFIG.format(options=options))
    tried = subprocess.run(
        [sys.executable, "-m", "fpnkit.detectors", "check", "--config", "config.yaml", "--images", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
    lines = {line[13:29].strip(): line for line in tried.stdout.splitlines()[1:]}
    assert tried.stdout.startswith("OnnxDetector: in order\n")
    assert lines["own forward pass"].endswith("  equal in 3 images")
    assert lines["geometry"].endswith("  192 x 192 becomes 192 x 192 on a canvas of 192 x 192")
