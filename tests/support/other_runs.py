"""Runs of other detectors, data sets and codecs than the example sweep's: one that is a whole curve, evaluated on two
data sets with one thread and with two, two of a detector in a file, of which one was never evaluated, and one of a
detector of Hugging Face's kind.
"""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import torch

from fpnkit import evaluate
from fpnkit.runs import layout
from tests.support.detr import folder as save_detr
from tests.support.store_runs import at, call, read, train_run

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
START = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)  # of the example sweep
_APART = timedelta(minutes=20)
FACTORIZED = {"kind": "factorized", "channels": 16, "latent_channels": 16}
FUSED = {"kind": "fused", "latent_channels": 16, "components": 16, "channels": 16, "context_channels": 16}


def make_others(home: Path) -> None:
    """`home` is FPNKIT_HOME. They are older than the example sweep."""
    (home / "lab_detectors.py").write_text(PLUGIN)
    save_detr(home / "tiny_rtdetr", "rt_detr")
    plugin = {"kind": "plugin", "class": f"{home / 'lab_detectors.py'}:Mean"}
    curve = {"lambda": 4000.0, "lowest_lambda": 20.0, "distortion": {"head": 1.0}}
    names = {"labels": {"circle": "cat", "square": "dog"}}
    ages = (START - timedelta(days=1) + number * _APART for number in count())
    run = _run(home, next(ages), {"kind": "shapes_fcos"}, FUSED, loss=curve, qualities=("1", "4"))
    torch.set_num_threads(2)  # on another machine, say; two of them wait for each other, so on a few images only
    call(evaluate.main, [str(run), "--qualities", "4", "--set", "data.test.images=4"])
    torch.set_num_threads(1)
    _run(home, next(ages), plugin, FACTORIZED)
    _run(home, next(ages), plugin, FACTORIZED, loss={"lambda": 1e-4}, qualities=None)
    _run(home, next(ages), {"kind": "transformers", "model": str(home / "tiny_rtdetr")}, FACTORIZED, data=names)


def make_newest(home: Path) -> None:
    """Now they are newer than all other runs."""
    for run in sorted((home / "checkpoints" / "fpn_compression").glob(f"run_{START - timedelta(days=1):%Y%m%d}_*")):
        created = datetime.fromisoformat(read(run)["created"]) + timedelta(days=2)
        moved = at(run, created)
        for summary in moved.glob(f"{layout.EVALUATION}/**/{layout.SUMMARY}"):
            told = json.loads(summary.read_text()) | {"run": moved.name, "created": created.isoformat()}
            summary.write_text(json.dumps(told))


def _run(
    home: Path,
    created: datetime,
    detector: dict[str, Any],
    codec: dict[str, Any],
    *,
    loss: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    qualities: tuple[str, ...] | None = (),
) -> Path:
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
    config = home / f"other_{created:%H%M}.json"
    config.write_text(json.dumps(settings))
    run = at(train_run(["--config", str(config)]), created)
    if qualities is not None:
        call(evaluate.main, [str(run), *(["--qualities", *qualities] if qualities else [])])
    return run
