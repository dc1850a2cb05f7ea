"""Build a detector from its settings, for use or for training."""

from __future__ import annotations

from typing import assert_never

from fpnkit.config.schema import (
    DetectorSettings,
    NanodetDetector,
    PluginDetector,
    ShapesDetector,
    TorchvisionDetector,
    TrainableDetectorSettings,
    TransformersDetector,
)
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detector
from fpnkit.detectors.detr_models import build_transformers
from fpnkit.detectors.nanodet import build_nanodet
from fpnkit.detectors.plugin import build_plugin, build_trainable_plugin
from fpnkit.detectors.shapes_fcos import NAME, build_shapes_fcos, build_trainable_shapes_fcos
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.detectors.torchvision_models import build_torchvision, build_trainable_torchvision, named_weights
from fpnkit.detectors.weights import find_weights


def build_detector(settings: DetectorSettings) -> Detector:
    """The detector with its weights, on the CPU."""
    match settings:
        case ShapesDetector():
            return build_shapes_fcos(settings)
        case TorchvisionDetector():
            return build_torchvision(settings)
        case NanodetDetector():
            return build_nanodet(settings)
        case TransformersDetector():
            return build_transformers(settings)
        case PluginDetector():
            return build_plugin(settings)
    assert_never(settings)


def build_trainable(settings: TrainableDetectorSettings, categories: tuple[Category, ...]) -> Detector:
    """A detector with a `trainable` module that starts from the settings' weights, in evaluation mode, on the CPU.

    Label k of a target means `categories[k - 1]`.
    """
    match settings:
        case ShapesDetector():
            return TorchvisionAdapter(build_trainable_shapes_fcos(settings, categories), NAME, categories)
        case TorchvisionDetector():
            return TorchvisionAdapter(build_trainable_torchvision(settings, categories), settings.model, categories)
        case PluginDetector():
            return build_trainable_plugin(settings, categories)
    assert_never(settings)


def with_weights_file(settings: DetectorSettings) -> DetectorSettings:
    """The settings with a run's name replaced by its file, since later runs may make the name ambiguous."""
    if isinstance(settings, PluginDetector | TransformersDetector) or settings.weights is None:
        return settings
    names = list(named_weights(settings.model)) if isinstance(settings, TorchvisionDetector) else []
    names += ["builtin"] if isinstance(settings, ShapesDetector) else []
    if settings.weights in names:
        return settings
    return settings.model_copy(update={"weights": str(find_weights(settings.weights, names).absolute())})
