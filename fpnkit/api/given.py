"""Commands with a detector that is an object: they run in this process, for the object cannot leave it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpnkit.api.detector import plugin_of
from fpnkit.config.identity import detector_name
from fpnkit.config.yaml import parse
from fpnkit.detectors.plugin import given, own_name
from fpnkit.errors import UserError
from fpnkit.launch.here import Ended, run_here

if TYPE_CHECKING:
    from fpnkit.api.runs import Run


def in_config(detector: Any, config: str | Path | Mapping[str, object] | None = None) -> list[str]:
    """The arguments that put the detector's name into the config; says so where this had another one."""
    settings = {"kind": "plugin", "name": own_name(plugin_of(detector))}
    before = None if config is None else _section(config, "detector")
    if before not in (None, settings):
        kind = before.get("kind") if isinstance(before, Mapping) else before
        print(f"detector: {settings['name']}, the object given, in place of the config's {kind}")
    return ["--set", f"detector={json.dumps(settings)}"]


def require_that_of(run: Run, detector: Any) -> None:
    """Raise `UserError` unless the object has the name that the run knows its detector by."""
    needed, found = detector_name(run.config.detector), own_name(plugin_of(detector))
    if found != needed:
        raise UserError(f"run {run.path}: required its detector {needed}, found one of the name {found}")


def run_with(detector: Any, module: str, arguments: Sequence[str]) -> Ended:
    """Run a command, to whose config the detector is known by its name.

    A signal that means the whole process is passed on once the command has saved its state.
    """
    ended = run_here(module, arguments, given(plugin_of(detector)))
    if ended.guest.asked not in (None, signal.SIGINT):
        signal.raise_signal(ended.guest.asked)
    return ended


def _section(config: str | Path | Mapping[str, object], key: str) -> object:
    """What the config says, as far as it can be read; the command will say what cannot."""
    if isinstance(config, Mapping):
        return config.get(key)
    with suppress(OSError, UnicodeDecodeError):
        return parse(Path(config).read_text(encoding="utf-8")).data.get(key)
    return None
