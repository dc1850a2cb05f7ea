"""Detectors of another package, installed as pip does it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from fpnkit.detectors.base import Detections, ImageBatch
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

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


class Mean:
    """The same as an object, with weights that change nothing; `version` is its fingerprint."""

    class_names: ClassVar = {1: "all"}

    def __init__(self, version: str = "mean 1", name: str | None = None) -> None:
        self.version, self.name = version, name
        self.spec = PyramidSpec((LevelSpec("p2", 3, 4),))
        self.module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout())

    def prepare(self, images: Sequence[Tensor]) -> ImageBatch:
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        return ImageBatch(torch.stack(list(images)) / 255, tuple(ImageGeometry(size, size, size) for size in sizes))

    def pyramid(self, batch: ImageBatch) -> Pyramid:
        assert not self.module.training
        return Pyramid({"p2": nn.functional.avg_pool2d(batch.pixels, 4)})

    def complete(self, pyramid: Pyramid) -> Pyramid:
        return pyramid

    def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        boxes = [torch.tensor([[0.0, 0.0, place.original[1], place.original[0]]]) for place in geometry]
        scores = pyramid["p2"].mean((1, 2, 3))
        return [Detections(box, score[None], torch.tensor([1])) for box, score in zip(boxes, scores, strict=True)]

    def fingerprint(self) -> str:
        return self.version
