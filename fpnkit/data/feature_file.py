"""One file of features: float16 levels and the image's geometry.

The format is safetensors. Entries with a slash in their name are passed over: some files hold outputs of heads as
`p3/scores`, which are not stored any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fpnkit.data.windows import Features, Window, cells, check_window
from fpnkit.foundation.files import write_bytes
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec

SUFFIX = ".safetensors"
FORMAT = 1

ChooseWindow = Callable[[ImageGeometry], Window]


class UnreadableFile(Exception):
    """The file is missing, truncated or not ours, and must be written again."""


def write_features(path: Path, features: Features) -> int:
    """Write float16 features so that the file appears complete; its size in bytes. Raises `StorageError`."""
    # Rows first, channels last: a window is then contiguous in each row of a level, and the rest is never read.
    levels = {name: level[0].permute(1, 2, 0).contiguous() for name, level in features.pyramid.items()}
    # One metadata entry: safetensors writes several in random order, and equal features should give equal files.
    content = save(levels, {"features": json.dumps({"format": FORMAT, **asdict(features.geometry)})})
    write_bytes(path, content)
    return len(content)


def read_features(path: Path, spec: PyramidSpec, choose: ChooseWindow | None = None) -> Features:
    """Features in float32, or only the window that `choose` picks, without reading the rest of the file.

    Raises `UnreadableFile`, and `PyramidError` if the window is not aligned.
    """
    try:
        with safe_open(path, "pt") as file:
            geometry = _geometry(file.metadata())
            stored_names = set(file.keys())
            if {name for name in stored_names if "/" not in name} != set(spec.names):
                raise UnreadableFile(str(path))  # before the window is drawn, which happens once
            window = choose(geometry) if choose else None
            if window:
                check_window(window, geometry.canvas, spec)
            levels = {}
            for level in spec.levels:
                stored = file.get_slice(level.name)
                levels[level.name] = _to_float32(stored[cells(window, level.stride)] if window else stored[:])
    except (OSError, SafetensorError) as error:
        raise UnreadableFile(str(path)) from error
    return Features(Pyramid(levels), geometry, window)


def _to_float32(stored: Tensor) -> Tensor:
    return stored.permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format)


def _geometry(metadata: dict[str, str] | None) -> ImageGeometry:
    try:
        entries = json.loads((metadata or {})["features"])
        if entries.pop("format") != FORMAT:
            raise UnreadableFile("another format")
        return ImageGeometry(**{name: tuple(pair) for name, pair in entries.items()})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableFile("no geometry") from error
