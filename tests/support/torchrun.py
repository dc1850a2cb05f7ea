"""`torchrun -m fpnkit.train` with processes that talk to each other over gloo."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 10}
  val: {kind: holdout, images: 3}
cache: {directory: FEATURES}
codec: CODEC
loss: LOSS
training: {epochs: 2, batch_size: 2, lr: 1e-4, crop: 64, log_every: 1, crops_per_image: CROPS, device: cpu}
"""
FACTORIZED = "{kind: factorized, channels: 8, latent_channels: 8}", "{lambda: 2.5e-4}"
FUSED = (
    "{kind: fused, channels: 16, latent_channels: 8, components: 16, context_channels: 16, rates: 3}",
    "{lambda: 1000, lowest_lambda: 10, distortion: {head: 1, mse: 1e-6}}",
)


def write_config(path: Path, features: Path, kind: tuple[str, str] = FACTORIZED, crops: int = 1) -> Path:
    codec, loss = kind
    text = CONFIG.replace("FEATURES", str(features)).replace("CODEC", codec).replace("LOSS", loss)
    path.write_text(text.replace("CROPS", str(crops)))
    return path


def start(processes: int, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Without `processes` torchrun is left out."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes else []
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "fpnkit.train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **environment},
    )


def train(processes: int, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(processes, *arguments, **environment)
    return ended(process)


def ended(process: subprocess.Popen[str], seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """Its output and exit code; fails if it hangs."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes before itself
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def said(stderr: str) -> list[str]:
    """The lines of the training's processes, up to torchrun's own."""
    lines = stderr.splitlines()
    ends = (i for i, line in enumerate(lines) if "torch/distributed/elastic" in line or line.startswith("Traceback"))
    return lines[: next(ends, len(lines))]


def learned(run: Path) -> Any:
    import torch

    return torch.load(run / "last.pth", weights_only=True)["learner"]
