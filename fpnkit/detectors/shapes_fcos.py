"""The small detector of the built-in shapes: FCOS (Tian et al. 2019, arXiv:1904.01355) with P2..P6 of 64 channels."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from fpnkit.config.schema import ShapesDetector
from fpnkit.data.images import Category
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.detectors.torchvision_models import without_other_classes
from fpnkit.detectors.weights import find_weights, load_strictly, read_weights
from fpnkit.errors import WeightsError

NAME = "shapes_fcos"
_BUILTIN = Path(str(files("fpnkit") / "assets" / "shapes_fcos.safetensors"))
_WIDTHS = {"stage2": 32, "stage3": 64, "stage4": 128, "stage5": 160}  # at strides 4, 8, 16, 32


def build_shapes_fcos(settings: ShapesDetector) -> TorchvisionAdapter:
    """The detector in evaluation mode, with the classes of its file; one class if untrained."""
    if settings.weights is None:
        return TorchvisionAdapter(shapes_fcos(1), NAME)
    file = read_weights(_find(settings.weights))
    if not file.categories:
        raise WeightsError(f"{file.path}: required `categories` beside the weights of {NAME}, found none")
    module = shapes_fcos(len(file.categories))
    load_strictly(module, file, NAME)
    return TorchvisionAdapter(module, NAME, file.categories)


def build_trainable_shapes_fcos(settings: ShapesDetector, categories: tuple[Category, ...]) -> FCOS:
    """The module in training mode for these categories, from `weights`, or untrained if they are null."""
    module = shapes_fcos(len(categories))
    if settings.weights is not None:
        file = read_weights(_find(settings.weights))
        load_strictly(module, without_other_classes(file, module), NAME)
    return module.train()


def shapes_fcos(classes: int) -> FCOS:
    """About 1.2 million parameters; `classes` without background, labels from 1.

    An anchor's side is half its level's stride, so that FCOS spreads boxes of a 192 pixel image over P2 (up to 32
    pixels) to P6 (over 256) and no level is idle; the radius in which centers count doubles with it.
    """
    model = FCOS(
        _backbone(),
        num_classes=classes + 1,
        anchor_generator=AnchorGenerator(((2,), (4,), (8,), (16,), (32,)), ((1.0,),) * 5),
        head=FCOSHead(64, 1, classes + 1, num_convs=2),
        center_sampling_radius=3.0,
        score_thresh=0.05,
    )
    model.transform = _WithoutResizing(
        min_size=1, max_size=1, image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.25, 0.25], size_divisible=64
    )
    return model


class _WithoutResizing(GeneralizedRCNNTransform):  # type: ignore[misc] # torchvision is untyped
    """Normalizes, and pads to multiples of P6's stride without resizing."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target


def _find(weights: str) -> Path:
    if weights != "builtin":
        return find_weights(weights, ["builtin"])
    if not _BUILTIN.is_file():
        raise WeightsError(
            f"weights `builtin`: required {_BUILTIN}, which belongs to the package, found nothing; "
            "install fpnkit again, or name a file or run in `detector.weights`"
        )
    return _BUILTIN


def _backbone() -> BackboneWithFPN:
    body = nn.Sequential()
    body.add_module("stem", _convolution(3, 24, stride=2))
    channels = 24
    for name, width in _WIDTHS.items():
        body.add_module(name, _Residual(channels, width))
        channels = width
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    levels = {name: str(index) for index, name in enumerate(_WIDTHS)}
    return BackboneWithFPN(body, levels, list(_WIDTHS.values()), out_channels=64)


class _Residual(nn.Module):
    """Two 3x3 convolutions that halve the size, with a 1x1 convolution as the shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, outputs, stride=2),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) → (batch, outputs, height / 2, width / 2)."""
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
