"""CONTRIBUTING's worked examples, applied to a copy of fpnkit and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import fpnkit
from fpnkit.runs.store import list_runs
from tests.support.fake_runs import write_runs

ROOT = Path(fpnkit.__file__).parent
TEXT = (ROOT.parent / "CONTRIBUTING.md").read_text()

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 12, seed: 1}
  val: {kind: shapes, images: 2, seed: 2}
codec: {kind: stepped}
loss: {lambda: 2.5e-4}
training: {epochs: 2, batch_size: 4, lr: 1e-2, crop: 128, calibration_images: 8}
"""

USE = """\
import sys
from pathlib import Path
import torch
from fpnkit.codecs.saved import load_codec
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid

codec = load_codec(Path(sys.argv[1]) / "best_model.pth").codec
torch.manual_seed(0)
sizes = {level.name: (level.channels, 128 // level.stride, 128 // level.stride) for level in codec.spec.levels}
levels = {name: torch.randn(1, *size) for name, size in sizes.items()}
geometry = ImageGeometry((128, 128), (128, 128), (128, 128))
streams = codec.encode(Pyramid(levels), geometry)
decoded, expected = codec.decode(streams), codec(Pyramid(levels)).reconstruction
assert all(torch.equal(decoded[name], expected[name]) for name in levels)
print(type(codec).__name__, sum(len(each.data) for each in streams.payloads.values()) > 100)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path.name, old)
    path.write_text(text.replace(old, new))


def test_the_new_codec_trains_and_decodes_what_it_encoded(tmp_path: Path) -> None:
    package = tmp_path / "copy" / "fpnkit"
    shutil.copytree(ROOT, package, ignore=shutil.ignore_patterns("__pycache__"))
    file, section, case, _ = blocks("python")
    (package / "codecs" / "stepped.py").write_text(file)
    schema, build = package / "config" / "codecs.py", package / "codecs" / "build.py"
    changed(schema, "DEFAULT_CODEC =", f"{section}\n\nDEFAULT_CODEC =")
    for target, difference in zip((schema, package / "container.py"), blocks("diff"), strict=True):
        old, new = (line[1:] for line in difference.splitlines())
        changed(target, old, new)
    build.write_text(build.read_text() + case)
    changed(build, "from fpnkit.config.codecs import ", "from fpnkit.config.codecs import SteppedCodec, ")

    (tmp_path / "config.yaml").write_text(CONFIG)
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "FPNKIT_HOME": str(tmp_path / "home")}

    def python(*arguments: str) -> str:
        command = [sys.executable, "-W", "ignore", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "home" / "checkpoints").mkdir(parents=True)
    run = python("-m", "fpnkit.train", "--config", "config.yaml").splitlines()[-1]
    assert python("-c", USE, run).split() == ["SteppedPyramidCodec", "True"]


def test_the_new_panel_shows_the_best_run_and_says_if_there_is_none(tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    exec(compile(blocks("python")[3], "best_run.py", "exec"), made)
    base = tmp_path / "runs"
    write_runs(base, 12)
    panel = made["BestRun"](base)
    panel.raise_failures()
    losses = {run.name: run.best_loss for run in list_runs(base) if run.best_loss is not None and run.lmbda <= 1e-3}
    best = min(losses, key=losses.__getitem__)
    assert f"{best}: loss {losses[best]:.4g}" in panel.said.value
    assert panel.picture.value[:4] == b"\x89PNG"
    panel.most.value = 1e-9
    panel.finish()
    required = "required a run with lambda 1e-09 or less, found none"
    assert str(panel.failures["look for runs"]) == f"{base}: {required}"
