"""Running `python -m fpnkit.train` as its user does, in warm processes unless a test wants a cold one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fpnkit.runs.metrics import read_metrics
from tests.support import warm

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 10}
  val: {kind: holdout, images: 2}
cache: {directory: FEATURES}
codec: {channels: 8, latent_channels: 8}
loss: {lambda: 2.5e-4}
training: {epochs: 3, batch_size: 2, lr: 1e-3, crop: 64, log_every: 2, crops_per_image: CROPS, device: cpu}
"""


def write_config(folder: Path, features: Path, crops: int = 1) -> Path:
    path = folder / "config.yaml"
    path.write_text(CONFIG.replace("FEATURES", str(features)).replace("CROPS", str(crops)))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "fpnkit.train", *map(str, arguments)]


def train(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return warm.run(command(*arguments), env=environment, **options)


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return warm.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def only_run(base_dir: Path) -> Path:
    (path,) = (path for path in base_dir.iterdir() if path.name.startswith("run_"))
    return path


def wait_for_lines(base_dir: Path, count: int) -> Path:
    """The run directory, once `count` lines of metrics stand in it."""
    for _ in range(1200):
        for metrics in base_dir.glob("run_*/metrics.jsonl"):
            if len(metrics.read_text().splitlines()) >= count:
                return metrics.parent
        time.sleep(0.1)
    raise AssertionError("no metrics appeared")


def lines(path: Path) -> list[dict[str, Any]]:
    timing = ("time", "seconds")
    return [
        {k: v for k, v in line.to_dict().items() if k not in timing} for line in read_metrics(path / "metrics.jsonl")
    ]


def status(path: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "fpnkit.runs", "--base-dir", str(path.parent), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (row,) = (row for row in json.loads(done.stdout) if row["name"] == path.name)
    return row["status"], row["reason"]
