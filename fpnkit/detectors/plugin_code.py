"""The code that a config names for a detector. Configs and run directories come from others too, their code may not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

from fpnkit.runs import layout

_OF_A_RUN = (layout.RUN_JSON, layout.CONFIG_USED, layout.BEST_MODEL, layout.LAST)


def load_maker(code: str, methods: Sequence[str]) -> Callable[..., Any]:
    """What makes a detector: of `/path/to/file.py:Name`, whose folder the file may import from, or `module:Name`.

    Of a module, which may be any that is installed, it must be a class with some of `methods`: to call anything else,
    such as `subprocess:run`, with options that a stranger wrote is to run a stranger's command. Nothing that lies in a
    run directory is imported. Raises `ImportError`, `TypeError`, and whatever the code raises.
    """
    where, _, name = code.rpartition(":")
    if where.endswith(".py"):
        return cast("Callable[..., Any]", getattr(_file(Path(where)), name))
    found = getattr(_module(where), name)
    if not isinstance(found, type) or not any(hasattr(found, method) for method in methods):
        kind = "a class without them" if isinstance(found, type) else f"a {type(found).__name__}"
        raise TypeError(f"required a class with {', '.join(methods)}, found {kind}")
    return found


def _file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    _require_outside_runs(path)
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _module(name: str) -> Any:
    parts = name.split(".")
    for count in range(1, len(parts) + 1):  # what is looked for is not imported yet, but what it lies in is
        spec = find_spec(".".join(parts[:count]))
        for place in () if spec is None else (spec.origin, *(spec.submodule_search_locations or ())):
            if place is not None:
                _require_outside_runs(Path(place))
    return import_module(name)


def _require_outside_runs(path: Path) -> None:
    for folder in _around(path):
        if any((folder / file).exists() for file in _OF_A_RUN):
            raise ImportError(f"{path} lies in the run directory {folder}; required code from elsewhere")


def _around(path: Path) -> Iterator[Path]:
    """The folders that it lies in, as it is called and where links lead."""
    for each in {path.absolute(), path.resolve()}:
        yield from (each, *each.parents) if each.is_dir() else each.parents
