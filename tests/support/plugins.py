"""Detectors of another package, installed as pip does it."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

MEAN = '''
import torch
from fpnkit.detectors.base import Detections, ImageBatch
from fpnkit.pyramid import ImageGeometry, LevelSpec, Pyramid, PyramidSpec

class Mean:
    """One level, the mean of 4x4 pixels; finds one box as large as the image."""

    name, spec = "mean", PyramidSpec((LevelSpec("p2", 3, 4),))

    def __init__(self, options):
        self.label = options["label"]

    def prepare(self, images):
        sizes = [tuple(image.shape[1:]) for image in images]
        return ImageBatch(torch.stack(list(images)) / 255, tuple(ImageGeometry(size, size, size) for size in sizes))

    def pyramid(self, batch):
        return Pyramid({"p2": torch.nn.functional.avg_pool2d(batch.pixels, 4)})

    def complete(self, pyramid):
        return pyramid

    def detect(self, pyramid, geometry):
        boxes = [torch.tensor([[0.0, 0.0, *reversed(place.original)]]) for place in geometry]
        scores, labels = pyramid["p2"].mean((1, 2, 3)), torch.tensor([self.label])
        return [Detections(box, score[None], labels) for box, score in zip(boxes, scores)]

    def fingerprint(self):
        return "mean 1"
'''


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, entry_points: Mapping[str, str]) -> None:
    """`source` as the module lab_detectors; entry points are group → `name = module:attribute`."""
    (folder / "lab_detectors.py").write_text(source)
    info = folder / "lab_detectors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-detectors\nVersion: 1.0\n")
    groups = [f"[{group}]\n{line}\n" for group, line in entry_points.items()]
    (info / "entry_points.txt").write_text("".join(groups))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "lab_detectors", raising=False)
