"""Detectors of other people: classes named in a config, or entry points of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
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
        code = settings.code or _entry_point(settings.title, TRAINABLE_GROUP).value
        raise UserError(
            f"detector `{settings.title}`: required a detector with `trainable`, the module to train, from its plugin "
            f"{code}; found none"
        )
    return detector


class PluginAdapter:
    """Implements `Detector` for a plugin.

    It must have `spec`, `prepare`, `pyramid`, `complete`, `detect` and `fingerprint`; the rest has defaults. Its name
    is that of the settings, as in tables of runs. Without `to`, its `module` is moved if there is one. It is
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
        self.whole = getattr(plugin, "whole", None)  # its own forward pass, for `fpnkit.detectors.check`
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
    code = settings.code or _entry_point(settings.title, group).value
    try:
        make = _entry_point(settings.title, group).load() if settings.code is None else _loaded(settings.code)
        return PluginAdapter(make(dict(settings.options), *more), settings.title)
    except Exception as error:  # whatever the plugin's own code raises
        found = f"{type(error).__name__}: {error}"
        raise UserError(f"detector `{settings.title}`: its plugin {code} failed: {found}") from error


def _loaded(code: str) -> Any:
    """`module:Name`, or `/path/to/file.py:Name`, whose folder the file may import from."""
    where, _, name = code.rpartition(":")
    if not where.endswith(".py"):
        return getattr(import_module(where), name)
    path = Path(where)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return getattr(module, name)


def _entry_point(name: str, group: str) -> EntryPoint:
    installed = entry_points(group=group)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise UserError(f"detector `{name}`: required an installed entry point of the group {group}, found {known}")
    return installed[name]
