"""Detectors of other people: classes named in a config, entry points of installed packages, objects given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch
from torch import nn

from fpnkit.config.schema import PluginDetector
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detector
from fpnkit.detectors.plugin_code import load_maker
from fpnkit.errors import UserError

GROUP = "fpnkit.detectors"  # name → callable (options) -> detector
TRAINABLE_GROUP = "fpnkit.trainable_detectors"  # name → callable (options, categories) -> detector with `trainable`


_METHODS = ("spec", "prepare", "pyramid", "complete", "detect", "fingerprint")
_CPU = torch.device("cpu")
_given: dict[str, PluginAdapter] = {}  # by name


def build_plugin(settings: PluginDetector) -> Detector:
    """Raises `UserError` if it is not installed or its code fails."""
    return _build(settings, GROUP)


def build_trainable_plugin(settings: PluginDetector, categories: tuple[Category, ...]) -> Detector:
    """Raises `UserError` if it is not installed, its code fails, or it has nothing to train."""
    detector = _build(settings, TRAINABLE_GROUP, categories)
    if detector.trainable is None:
        code = _source(settings, TRAINABLE_GROUP)
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

    module: nn.Module | None

    def __init__(self, plugin: Any, name: str) -> None:
        self.name, self._plugin = name, plugin
        self.spec, self.prepare, self.fingerprint = plugin.spec, plugin.prepare, plugin.fingerprint
        self.pyramid, self.complete, self.detect = plugin.pyramid, plugin.complete, plugin.detect
        self.class_names: Mapping[int, str] = getattr(plugin, "class_names", {})
        self.trainable: nn.Module | None = getattr(plugin, "trainable", None)
        self.module = _module_of(plugin)
        if self.module is not None:
            self.module.eval()
        self.also_finds = getattr(plugin, "also_finds", ())
        self.whole = getattr(plugin, "whole", None)  # its own forward pass, for `fpnkit.detectors.check`
        heads = getattr(plugin, "heads", None)
        if callable(heads) and not isinstance(heads, nn.Module):  # a network's layers are often named so
            self.heads = heads

    def to(self, device: torch.device) -> None:
        """Move the weights."""
        if hasattr(self._plugin, "to"):
            self._plugin.to(device)
        elif self.module is not None:
            self.module.to(device)


def own_name(plugin: object) -> str:
    """Of an object: its attribute `name` if that is a text, else its class."""
    name = getattr(plugin, "name", None)
    return name if isinstance(name, str) and name else type(plugin).__name__


def require_plugin(plugin: object) -> None:
    """Raise `UserError` for what lacks a method of a plugin."""
    required = f"detector: required an object with {', '.join(_METHODS[:-1])} and {_METHODS[-1]}"
    if isinstance(plugin, type):
        raise UserError(f"{required}, found the class {plugin.__name__}")
    if lacking := [name for name in _METHODS if not hasattr(plugin, name)]:
        raise UserError(f"{required}, found {own_name(plugin)} without {', '.join(lacking)}")


@contextmanager
def given(plugin: Any) -> Iterator[None]:
    """Meanwhile a config that names a plugin `own_name(plugin)` means this object.

    It works on the CPU or where training wants it; afterwards it is where it was, and in the mode that it was in.
    """
    name, module = own_name(plugin), _module_of(plugin)
    modes = [] if module is None else [(part, part.training) for part in module.modules()]
    weight = None if module is None else next(module.parameters(), None)
    device = _CPU if weight is None else weight.device
    detector = _given[name] = PluginAdapter(plugin, name)
    try:
        yield
    finally:
        del _given[name]
        detector.to(device)
        for part, training in modes:
            part.training = training


def is_given(settings: object) -> bool:
    """Whether settings of a detector mean an object of `given`."""
    return isinstance(settings, PluginDetector) and settings.code is None and settings.title in _given


def _module_of(plugin: object) -> nn.Module | None:
    module = getattr(plugin, "module", getattr(plugin, "trainable", None))
    return module if isinstance(module, nn.Module) else None


def _source(settings: PluginDetector, group: str) -> str:
    """Where its code comes from."""
    if is_given(settings):
        return "that was given"
    return settings.code or _entry_point(settings.title, group).value


def _build(settings: PluginDetector, group: str, *more: object) -> Detector:
    if is_given(settings):
        detector = _given[settings.title]
        detector.to(_CPU)  # it may come from another command, and from another device
        return detector
    code = _source(settings, group)
    try:
        entry = _entry_point(settings.title, group) if settings.code is None else None
        make = load_maker(code, _METHODS) if entry is None else entry.load()
        return PluginAdapter(make(dict(settings.options), *more), settings.title)
    except Exception as error:  # whatever the plugin's own code raises
        found = f"{type(error).__name__}: {error}"
        raise UserError(f"detector `{settings.title}`: its plugin {code} failed: {found}") from error


def _entry_point(name: str, group: str) -> EntryPoint:
    installed = entry_points(group=group)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise UserError(
            f"detector `{name}`: required an installed entry point of the group {group}, found {known}; an object made "
            f"in a notebook has to be given again as detector=…, or its class put into a file that detector.class "
            f"names, such as file.py:{name}"
        )
    return installed[name]
