"""From the detector's settings to a detector, or to a module that can be trained."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import assert_never

from fpnkit.config.schema import (
    DetectorSettings,
    NanodetDetector,
    PluginDetector,
    ShapesDetector,
    TorchvisionDetector,
    TrainableDetectorSettings,
)
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detector
from fpnkit.detectors.nanodet import build_nanodet
from fpnkit.detectors.shapes_fcos import build_shapes_fcos, build_trainable_shapes_fcos
from fpnkit.detectors.torchvision import TorchvisionModule
from fpnkit.detectors.torchvision_models import build_torchvision, build_trainable_torchvision, named_weights
from fpnkit.detectors.weights import find_weights
from fpnkit.errors import UserError

GROUP = "fpnkit.detectors"  # entry points: name → callable (options: dict) -> Detector


def build_detector(settings: DetectorSettings) -> Detector:
    """The detector with its weights, on the CPU."""
    match settings:
        case ShapesDetector():
            return build_shapes_fcos(settings)
        case TorchvisionDetector():
            return build_torchvision(settings)
        case NanodetDetector():
            return build_nanodet(settings)
        case PluginDetector():
            return _build_plugin(settings)
    assert_never(settings)


def build_trainable(settings: TrainableDetectorSettings, categories: tuple[Category, ...]) -> TorchvisionModule:
    """A module in training mode that takes images in [0, 1] and targets as torchvision's detectors do.

    Label k of a target means `categories[k - 1]`. `TorchvisionAdapter(module, name, categories)` makes a detector of
    it; that puts it in evaluation mode, so call `module.train()` before training on.
    """
    match settings:
        case ShapesDetector():
            return build_trainable_shapes_fcos(settings, categories)
        case TorchvisionDetector():
            return build_trainable_torchvision(settings, categories)
    assert_never(settings)


def with_weights_file(settings: DetectorSettings) -> DetectorSettings:
    """The same settings with the file in place of a run's name, which later runs may make ambiguous."""
    if isinstance(settings, PluginDetector) or settings.weights is None:
        return settings
    names = list(named_weights(settings.model)) if isinstance(settings, TorchvisionDetector) else []
    names += ["builtin"] if isinstance(settings, ShapesDetector) else []
    if settings.weights in names:
        return settings
    return settings.model_copy(update={"weights": str(find_weights(settings.weights, names).absolute())})


def _build_plugin(settings: PluginDetector) -> Detector:
    installed = entry_points(group=GROUP)
    if settings.name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise UserError(
            f"detector `{settings.name}`: required an installed entry point of the group {GROUP}, found {known}"
        )
    try:
        detector: Detector = installed[settings.name].load()(dict(settings.options))
    except Exception as error:  # whatever the plugin's own code raises
        code, found = installed[settings.name].value, f"{type(error).__name__}: {error}"
        raise UserError(f"detector `{settings.name}`: its plugin {code} failed: {found}") from error
    return detector
