"""Detectors of other packages, registered as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch
from torch import nn

from fpnkit.config.schema import PluginDetector
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detector
from fpnkit.errors import UserError

GROUP = "fpnkit.detectors"  # name → callable (options) -> detector
TRAINABLE_GROUP = "fpnkit.trainable_detectors"  # name → callable (options, categories) -> detector with `trainable`


def build_plugin(settings: PluginDetector) -> Detector:
    """Raises `UserError` if it is not installed or its code fails."""
    return _build(settings, GROUP)


def build_trainable_plugin(settings: PluginDetector, categories: tuple[Category, ...]) -> Detector:
    """Raises `UserError` if it is not installed, its code fails, or it has nothing to train."""
    detector = _build(settings, TRAINABLE_GROUP, categories)
    if detector.trainable is None:
        code = _entry_point(settings.name, TRAINABLE_GROUP).value
        raise UserError(
            f"detector `{settings.name}`: required a detector with `trainable`, the module to train, from its plugin "
            f"{code}; found none"
        )
    return detector


class PluginAdapter:
    """Implements `Detector` for a plugin.

    It must have `spec`, `prepare`, `pyramid`, `complete`, `detect` and `fingerprint`; the rest has defaults. Its name
    is the registered one, as in configs and tables of runs. Without `to`, its `module` is moved if there is one. It is
    a `DetectorWithHeads` if it has that method.
    """

    def __init__(self, plugin: Any, name: str) -> None:
        self.name, self._plugin = name, plugin
        self.spec, self.prepare, self.fingerprint = plugin.spec, plugin.prepare, plugin.fingerprint
        self.pyramid, self.complete, self.detect = plugin.pyramid, plugin.complete, plugin.detect
        self.class_names: Mapping[int, str] = getattr(plugin, "class_names", {})
        self.trainable: nn.Module | None = getattr(plugin, "trainable", None)
        self._module = getattr(plugin, "module", self.trainable)
        if isinstance(self._module, nn.Module):
            self._module.eval()
        heads = getattr(plugin, "heads", None)
        if callable(heads) and not isinstance(heads, nn.Module):  # a network's layers are often named so
            self.heads = heads

    def to(self, device: torch.device) -> None:
        """Move the weights."""
        if hasattr(self._plugin, "to"):
            self._plugin.to(device)
        elif isinstance(self._module, nn.Module):
            self._module.to(device)


def _build(settings: PluginDetector, group: str, *more: object) -> Detector:
    entry = _entry_point(settings.name, group)
    try:
        return PluginAdapter(entry.load()(dict(settings.options), *more), settings.name)
    except Exception as error:  # whatever the plugin's own code raises
        found = f"{type(error).__name__}: {error}"
        raise UserError(f"detector `{settings.name}`: its plugin {entry.value} failed: {found}") from error


def _entry_point(name: str, group: str) -> EntryPoint:
    installed = entry_points(group=group)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise UserError(f"detector `{name}`: required an installed entry point of the group {group}, found {known}")
    return installed[name]
