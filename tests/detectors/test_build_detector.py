"""From settings to detectors, other people's among them."""

import sys
from pathlib import Path

import pytest
import torch

from fpnkit.config.schema import NanodetDetector, PluginDetector, ShapesDetector, TorchvisionDetector
from fpnkit.data.images import Category
from fpnkit.detectors.build import build_detector, build_trainable
from fpnkit.detectors.nanodet import Nanodet
from fpnkit.errors import UserError

PLUGIN = '''
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


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package, installed as pip does it."""
    (tmp_path / "lab_detectors.py").write_text(PLUGIN)
    info = tmp_path / "lab_detectors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-detectors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fpnkit.detectors]\nmean = lab_detectors:Mean\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lab_detectors", raising=False)


@pytest.mark.usefixtures("plugin")
def test_detector_of_another_package_joins_by_its_entry_point() -> None:
    detector = build_detector(PluginDetector(kind="plugin", name="mean", options={"label": 3}))

    batch = detector.prepare([torch.full((3, 8, 12), 51, dtype=torch.uint8)])
    pyramid = detector.pyramid(batch)
    detector.spec.check(pyramid)
    found = detector.detect(detector.complete(pyramid), batch.geometry)[0]

    assert pyramid.sizes == {"p2": (2, 3)}
    assert found.boxes.tolist() == [[0, 0, 12, 8]]
    assert found.scores.tolist() == pytest.approx([0.2])
    assert found.labels.tolist() == [3]


@pytest.mark.usefixtures("plugin")
def test_unknown_plugin_lists_what_is_installed() -> None:
    with pytest.raises(UserError) as error:
        build_detector(PluginDetector(kind="plugin", name="median"))
    assert str(error.value) == (
        "detector `median`: required an installed entry point of the group fpnkit.detectors, found mean"
    )


def test_unknown_plugin_where_none_is_installed() -> None:
    with pytest.raises(UserError) as error:
        build_detector(PluginDetector(kind="plugin", name="median"))
    assert str(error.value) == (
        "detector `median`: required an installed entry point of the group fpnkit.detectors, found none"
    )


def test_every_kind_of_settings_gives_its_detector(tmp_path: Path) -> None:
    torch.save(Nanodet().state_dict(), tmp_path / "nanodet.pth")
    model = "fasterrcnn_mobilenet_v3_large_320_fpn"

    assert build_detector(ShapesDetector(kind="shapes_fcos", weights=None)).name == "shapes_fcos"
    assert build_detector(TorchvisionDetector(kind="torchvision", model=model, weights=None)).name == model
    nanodet = NanodetDetector(kind="nanodet_m", weights=str(tmp_path / "nanodet.pth"))
    assert build_detector(nanodet).name == "nanodet_m"


@pytest.mark.parametrize(
    "settings",
    [
        ShapesDetector(kind="shapes_fcos", weights=None),
        TorchvisionDetector(
            kind="torchvision", model="fasterrcnn_mobilenet_v2_fpn", weights=None, min_size=96, max_size=128
        ),
    ],
)
def test_trainable_module_gives_finite_losses_and_gradients(settings: ShapesDetector | TorchvisionDetector) -> None:
    torch.manual_seed(0)
    module = build_trainable(settings, (Category(7, "dog"), Category(3, "cat")))
    target = {"boxes": torch.tensor([[10.0, 10.0, 60.0, 60.0]]), "labels": torch.tensor([2])}

    loss = sum(module([torch.rand(3, 96, 96)] * 2, [target] * 2).values())
    loss.backward()

    assert module.training
    assert torch.isfinite(loss)
    gradients = [parameter.grad for parameter in module.parameters() if parameter.requires_grad]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
