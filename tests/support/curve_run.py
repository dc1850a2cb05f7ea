"""A run that is a whole curve: a small fused codec for the built-in detector, trained for seconds."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.support.train_process import only_run, train

QUALITIES = (0.0, 2.0)
LOWEST, HIGHEST = 1e-6, 1e-3
CONFIG = f"""\
task: fpn_compression
detector: {{kind: shapes_fcos}}
data:
  train: {{kind: shapes, images: 6}}
  val: {{kind: shapes, images: 2, seed: 5}}
  test: {{kind: shapes, images: 3, seed: 7}}
codec:
  {{kind: fused, latent_channels: 64, components: 64, channels: 8, blocks: 1, context_channels: 8, slices: 2, rates: 3}}
loss: {{distortion: {{mse: 1.0}}, lambda: {HIGHEST}, lowest_lambda: {LOWEST}}}
cache: {{directory: FEATURES}}
training: {{epochs: 1, batch_size: 2, lr: 1e-3, crop: 192, calibration_images: 6, device: cpu}}
"""


@cache
def trained_run() -> Path:
    """Finished, not evaluated; nobody changes it."""
    folder = Path(tempfile.mkdtemp(prefix="fpnkit_curve_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config = folder / "config.yaml"
    config.write_text(CONFIG.replace("FEATURES", str(folder / "features")))
    done = train("--config", config, "--base-dir", folder / "runs")
    assert done.returncode == 0, done.stderr
    return only_run(folder / "runs")


def copy_run(base_dir: Path) -> Path:
    """One that may be changed."""
    return shutil.copytree(trained_run(), base_dir / trained_run().name)
