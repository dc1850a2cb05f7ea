"""A training so small that hundreds of them can be spoiled, and what a process that forks has to load for it."""

import json
from pathlib import Path

from fpnkit.runs import layout

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 6}
  val: {kind: shapes, images: 2, seed: 5}
  test: {kind: shapes, images: 4, seed: 7}
cache: {directory: FEATURES}
codec: {channels: 8, latent_channels: 8}
loss: {lambda: 2.5e-4}
training:
  {epochs: 3, batch_size: 2, lr: 1e-3, crop: 64, log_every: 2, keep_best: 1, save_every_seconds: 0.05, device: cpu}
"""
_NAMES = [
    *("train", "training.loop", "training.prepare", "training.diagnostics", "analysis.training", "codecs.factorized"),
    *("evaluate", "evaluation.run", "evaluation.task", "evaluation.models", "detectors.shapes_fcos", "analyze"),
    *("analysis.report", "anchors.__main__", "sweep", "runs.__main__", "runs.actions", "foundation.logs"),
]
MODULES = [f"fpnkit.{name}" for name in _NAMES]
OF_RUNS = ["fpnkit.runs.__main__", "fpnkit.runs.actions"]


def write_config(folder: Path, features: Path) -> Path:
    path = folder / "config.yaml"
    path.write_text(CONFIG.replace("FEATURES", str(features)))
    return path


def base_dir(home: Path) -> Path:
    return home / "checkpoints" / "fpn_compression"


def runs(home: Path) -> list[Path]:
    return sorted(base_dir(home).glob("run_*"))


def is_over(run: Path) -> bool:
    """Whether it came to its end."""
    record = run / layout.RUN_JSON
    return record.exists() and json.loads(record.read_text())["exit_code"] == 0
