"""Details of one image as tables: maps over the image, and its channels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.codecs.base import CodedLatents
from fpnkit.detectors.base import Detections
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec

_LARGEST_TILE = 48  # cells; finer levels are averaged down to it
_DIGITS = 5


def bits_map(
    coded: Mapping[str, CodedLatents], spec: PyramidSpec, pyramid: Pyramid, geometry: ImageGeometry
) -> pd.DataFrame:
    """A row per level and latent position: the estimated bits of all latent channels."""
    parts = []
    for name, latents in coded.items():
        bits = latents.bits.sum(0)
        halvings = _times(pyramid.sizes[name], (bits.shape[0], bits.shape[1]))
        parts.append(_cells(name, bits.shape, spec[name].stride * halvings, geometry).assign(bits=_flat(bits)))
    return pd.concat(parts, ignore_index=True)


def energy_map(original: Pyramid, decoded: Pyramid, spec: PyramidSpec, geometry: ImageGeometry) -> pd.DataFrame:
    """A row per level and cell: mean squares over channels.

    `original` and `decoded` are taken around the original's channel means; `error` is the mean squared difference.
    """
    parts = []
    for name, level in original.items():
        mean = level[0].mean((1, 2), keepdim=True)
        maps = {
            "original": (level[0] - mean).square().mean(0),
            "decoded": (decoded[name][0] - mean).square().mean(0),
            "error": (decoded[name][0] - level[0]).square().mean(0),
        }
        table = _cells(name, maps["error"].shape, spec[name].stride, geometry)
        parts.append(table.assign(**{key: _flat(values) for key, values in maps.items()}))
    return pd.concat(parts, ignore_index=True)


def mosaic(original: Tensor, decoded: Tensor, most: int = 16) -> pd.DataFrame:
    """The `most` channels with the highest energy, strongest first, cell by cell; levels (channel, height, width).

    A level with more than 48 cells on a side is averaged down to 48.
    """
    order = original.square().sum((1, 2)).argsort(descending=True, stable=True)[:most]
    height, width = (min(side, _LARGEST_TILE) for side in original.shape[-2:])
    tiles = [F.adaptive_avg_pool2d(level[order], (height, width)) for level in (original, decoded)]
    rank, row, column = np.indices((len(order), height, width))
    return pd.DataFrame(
        {
            "rank": rank.ravel(),
            "channel": order.numpy()[rank.ravel()],
            "row": row.ravel(),
            "column": column.ravel(),
            "original": _flat(tiles[0]),
            "decoded": _flat(tiles[1]),
        }
    )


def channel_map(
    original: Pyramid, decoded: Pyramid, spec: PyramidSpec, geometry: ImageGeometry, level: str, channel: int | None
) -> pd.DataFrame:
    """A row per cell of a level: one channel, or with None the mean of all channels, before and after."""
    values = {
        name: pyramid[level][0].mean(0) if channel is None else pyramid[level][0, channel]
        for name, pyramid in (("original", original), ("decoded", decoded))
    }
    table = _cells(level, values["original"].shape, spec[level].stride, geometry)
    return table.assign(**{name: _flat(each) for name, each in values.items()})


def boxes(before: Detections, after: Detections, threshold: float, categories: Mapping[int, str]) -> pd.DataFrame:
    """Detections with a score of at least `threshold` on uncompressed and on decoded features, in pixels of the
    original.
    """
    rows = []
    for features, found in (("uncompressed", before), ("decoded", after)):
        sure = found.scores >= threshold
        parts = (found.boxes[sure].tolist(), found.labels[sure].tolist(), found.scores[sure].tolist())
        for box, label, score in zip(*parts, strict=True):
            rows.append((features, categories.get(label, f"class {label}"), score, *box))
    return pd.DataFrame(rows, columns=["features", "category", "score", "left", "top", "right", "bottom"])


def _cells(level: str, shape: torch.Size, size: int, geometry: ImageGeometry) -> pd.DataFrame:
    """Cells of `size` pixels of the network's input, with their edges in pixels of the original image."""
    row, column = np.indices(tuple(shape))
    down = geometry.original[0] / geometry.content[0]
    right = geometry.original[1] / geometry.content[1]
    edges = {
        "left": (column * size - geometry.offset[1]) * right,
        "top": (row * size - geometry.offset[0]) * down,
        "right": ((column + 1) * size - geometry.offset[1]) * right,
        "bottom": ((row + 1) * size - geometry.offset[0]) * down,
    }
    numbers = {"row": row.ravel(), "column": column.ravel()}
    return pd.DataFrame({"level": level, **numbers, **{key: edge.ravel() for key, edge in edges.items()}})


def _times(cells: tuple[int, int], latents: tuple[int, int]) -> int:
    """The power of two by which a level is larger than its latents."""
    times = 1
    while tuple(-(-side // times) for side in cells) != latents and times < max(cells):
        times *= 2
    return times


def _flat(values: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Values in row order, rounded to what a figure can show."""
    flat = values.detach().flatten().double().numpy()
    with np.errstate(divide="ignore"):
        digits = _DIGITS - 1 - np.floor(np.log10(np.abs(flat).max(initial=1e-30) + 1e-30)).astype(int)
    return np.asarray(flat.round(int(digits)))
