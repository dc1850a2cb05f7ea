"""Configs to be started from a panel in a browser, and the end of whatever was started."""

from pathlib import Path

from fpnkit.launch.launchers import find
from fpnkit.launch.stop import stop
from fpnkit.runs.record import read_record
from tests.support.run_processes import until

LOG_EVERY = 5
# Some minutes of tiny steps; nobody waits for the end.
_LONG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 8, seed: 3}
  val: {kind: shapes, images: 2, seed: 4}
cache: {directory: FEATURES}
codec: {kind: factorized, channels: 8, latent_channels: 8}
loss: {lambda: 2.5e-4}
training: {epochs: 1000, batch_size: 4, lr: 1e-3, crop: 64, crops_per_image: 20, log_every: STEPS, device: cpu}
"""
_PLUGIN = """\
from fpnkit.config.schema import ShapesDetector
from fpnkit.detectors.build import build_detector

def look(batch):
    raise RuntimeError("the camera <b>is gone</b>")

def build(options):
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    detector.pyramid = look
    return detector
"""


def write_configs(folder: Path) -> Path:
    """A config that trains for long, and one whose detector fails when it sees an image; → what PYTHONPATH must have.

    Nothing but the process that trains can see that it will fail.
    """
    configs, plugins = folder / "configs", folder / "plugins"
    configs.mkdir(exist_ok=True)
    long = _LONG.replace("STEPS", str(LOG_EVERY))
    (configs / "long.yaml").write_text(long.replace("FEATURES", str(folder / "features")))
    broken = long.replace("FEATURES", str(folder / "none")).replace("kind: shapes_fcos", "kind: plugin, name: broken")
    (configs / "broken.yaml").write_text(broken)
    info = plugins / "broken_detector-1.dist-info"
    info.mkdir(parents=True)
    (plugins / "broken_detector.py").write_text(_PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-detector\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fpnkit.detectors]\nbroken = broken_detector:build\n")
    return plugins


def end_all(base_dir: Path) -> None:
    """Kill what was started for this base directory, whoever started it."""
    for launched in find(base_dir):
        if launched.lives():
            stop(launched, "kill")
        until(lambda launched=launched: not launched.lives())  # type: ignore[misc]


def steps_grow(run: Path, seconds: float = 60) -> None:
    """Until the run has taken a step that it had not when asked."""
    before = (run / "metrics.jsonl").stat().st_size
    until(lambda: (run / "metrics.jsonl").stat().st_size > before, seconds)
    assert read_record(run).pid is not None
