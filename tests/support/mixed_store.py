"""Runs of several detectors, data sets and codecs beside each other, as they lie in a lab.

python -m tests.support.mixed_store FOLDER      # FPNKIT_HOME=FOLDER then shows them

Beside the runs of `make_store`, which must be in the folder: one of a detector in a file, one of Hugging Face's kind,
one that is a whole curve, and one that was never evaluated. All of them are newer.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from fpnkit import evaluate
from tests.support.detr import folder as save_detr
from tests.support.make_store import call, train_run

PLUGIN = """
import torch
import torch.nn.functional as F

from fpnkit.detectors.base import Detections, ImageBatch
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec


class Mean:
    spec = PyramidSpec((LevelSpec("p2", 3, 4), LevelSpec("p3", 3, 8)))
    class_names = {1: "circle", 2: "square"}

    def __init__(self, options):
        pass

    def prepare(self, images):
        sizes = [tuple(image.shape[1:]) for image in images]
        return ImageBatch(torch.stack(list(images)) / 255, tuple(ImageGeometry(size, size, size) for size in sizes))

    def pyramid(self, batch):
        return Pyramid({"p2": F.avg_pool2d(batch.pixels, 4), "p3": F.avg_pool2d(batch.pixels, 8)})

    def complete(self, pyramid):
        return pyramid

    def detect(self, pyramid, geometry):
        boxes = [torch.tensor([[10.0, 10.0, place.original[1] / 2, place.original[0] / 2]]) for place in geometry]
        scores = pyramid["p2"].mean((1, 2, 3)).clamp(0, 1)
        return [Detections(box, score[None], torch.tensor([1])) for box, score in zip(boxes, scores)]

    def fingerprint(self):
        return "mean 1"
"""
FACTORIZED = {"kind": "factorized", "channels": 16, "latent_channels": 16}
FUSED = {"kind": "fused", "latent_channels": 16, "components": 16, "channels": 16, "context_channels": 16}


def add_others(home: Path) -> None:
    """`home` is FPNKIT_HOME."""
    torch.set_num_threads(1)
    os.environ["FPNKIT_HOME"] = str(home)
    (home / "lab_detectors.py").write_text(PLUGIN)
    save_detr(home / "tiny_rtdetr", "rt_detr")
    plugin = {"kind": "plugin", "class": f"{home / 'lab_detectors.py'}:Mean"}
    curve = {"lambda": 4000.0, "lowest_lambda": 20.0, "distortion": {"head": 1.0}}
    names = {"labels": {"circle": "cat", "square": "dog"}}
    _run(home, "curve", {"kind": "shapes_fcos"}, FUSED, loss=curve, qualities=("1", "4"))
    _run(home, "plugin", plugin, FACTORIZED)
    _run(home, "plugin_again", plugin, FACTORIZED, loss={"lambda": 1e-4}, qualities=None)
    _run(home, "detr", {"kind": "transformers", "model": str(home / "tiny_rtdetr")}, FACTORIZED, data=names)


def _run(
    home: Path,
    name: str,
    detector: dict[str, Any],
    codec: dict[str, Any],
    *,
    loss: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    qualities: tuple[str, ...] | None = (),
) -> None:
    """Train, and evaluate unless `qualities` is None."""
    images = {part: {"kind": "shapes", "images": count, "seed": 11 + count} for part, count in (
        ("train", 16), ("val", 4), ("test", 24),
    )}  # fmt: skip
    settings = {
        "task": "fpn_compression",
        "detector": detector,
        "data": images | (data or {}),
        "codec": codec,
        "loss": loss or {"lambda": 1e-3},
        "training": {"epochs": 1, "batch_size": 4, "crop": 96, "device": "cpu"},
        "cache": {"directory": str(home / "features")},
    }
    config = home / f"{name}.json"
    config.write_text(json.dumps(settings))
    run = train_run(["--config", str(config)])
    if qualities is not None:
        call(evaluate.main, [str(run), *(["--qualities", *qualities] if qualities else [])])


if __name__ == "__main__":
    add_others(Path(sys.argv[1]))
