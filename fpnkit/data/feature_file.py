"""One file of features: float16 levels, optional outputs of heads, and the image's geometry.

The format is safetensors; `p3` is a level, `p3/scores` an output of the heads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fpnkit.data.windows import Features, Window, cells, check_window, head_level
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
    everything = {**features.pyramid, **features.heads}
    levels = {name: values[0].permute(1, 2, 0).contiguous() for name, values in everything.items()}
    # One metadata entry: safetensors writes several in random order, and equal features should give equal files.
    content = save(levels, {"features": json.dumps({"format": FORMAT, **asdict(features.geometry)})})
    write_bytes(path, content)
    return len(content)


def read_features(
    path: Path, spec: PyramidSpec, choose: ChooseWindow | None = None, heads: Sequence[str] = ()
) -> Features:
    """Features in float32, or only the window that `choose` picks, without reading the rest of the file.

    `heads` names the outputs of heads to read, which must exist. Raises `UnreadableFile`, and `PyramidError` if the
    window is not aligned.
    """
    try:
        with safe_open(path, "pt") as file:
            geometry = _geometry(file.metadata())
            stored_names = set(file.keys())
            levels = {name for name in stored_names if head_level(name) == name}
            if levels != set(spec.names) or not set(heads) <= stored_names:
                raise UnreadableFile(str(path))  # before the window is drawn, which happens once
            window = choose(geometry) if choose else None
            if window:
                check_window(window, geometry.canvas, spec)
            values = {}
            for name in (*spec.names, *heads):
                stored = file.get_slice(name)
                values[name] = _to_float32(
                    stored[cells(window, spec[head_level(name)].stride)] if window else stored[:]
                )
    except (OSError, SafetensorError) as error:
        raise UnreadableFile(str(path)) from error
    pyramid = Pyramid({name: values[name] for name in spec.names})
    return Features(pyramid, geometry, window, {name: values[name] for name in heads})


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
