"""Drawings over an image: maps, channel mosaics, boxes."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fpnkit.plots.panels import by_level
from fpnkit.plots.style import new_axes

_KEPT, _LOST = "#56B4E9", "#E69F00"
_HEAT = "inferno"
_LABEL = 0.03  # height of a label as a share of the picture's


@dataclass(frozen=True)
class Photo:
    """An image to show, with the original size that maps and boxes refer to."""

    number: int
    image: int
    pixels: NDArray[np.uint8]  # (height, width, 3), in any resolution
    size: tuple[int, int]  # (height, width) of the original


def cell_values(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A level's cells as (row, column)."""
    rows, columns = int(table["row"].max()) + 1, int(table["column"].max()) + 1
    return table[column].to_numpy(float).reshape(rows, columns)


def bits_per_pixel(table: pd.DataFrame) -> NDArray[np.float64]:
    """A level's bits per pixel of the original image under each cell, so that levels can be compared."""
    area = (table["right"] - table["left"]) * (table["bottom"] - table["top"])
    return cell_values(table.assign(density=table["bits"] / area), "density")


def total_bits_per_pixel(bits: pd.DataFrame, size: tuple[int, int], side: int = 200) -> NDArray[np.float64]:
    """All levels together on a raster over the image of `size` (height, width)."""
    height, width = size
    rows = (np.arange(max(1, round(side * height / max(size)))) + 0.5) * height
    columns = (np.arange(max(1, round(side * width / max(size)))) + 0.5) * width
    rows, columns = rows / len(rows), columns / len(columns)
    total = np.zeros((len(rows), len(columns)))
    for _, table in by_level(bits):
        values = bits_per_pixel(table)
        first = table.iloc[0]
        row = ((rows - first["top"]) / (first["bottom"] - first["top"])).astype(int).clip(0, values.shape[0] - 1)
        column = ((columns - first["left"]) / (first["right"] - first["left"])).astype(int)
        total += values[np.ix_(row, column.clip(0, values.shape[1] - 1))]
    return total


def plot_map(
    photo: Photo,
    values: NDArray[np.float64],
    extent: tuple[float, float, float, float] | None = None,
    largest: float | None = None,
    *,
    ax: Axes | None = None,
) -> AxesImage:
    """Values as a heat map over the image; dark means low.

    Returns the mappable for a color bar. `extent` is left, right, bottom, top in pixels of the image (default: all of
    it). Colors go from 0 to `largest` (default: the largest value), so that a map that is nearly even looks even.
    """
    ax = ax or new_axes()
    height, width = photo.size
    ax.imshow(photo.pixels.mean(2), cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    shown = ax.imshow(
        values,
        cmap=_HEAT,
        alpha=0.65,
        vmin=0,
        vmax=max(float(values.max()) if largest is None else largest, 1e-12),
        extent=extent or (0, width, height, 0),
        interpolation="nearest",
    )
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    _bare(ax)
    return shown


def plot_cells(
    values: NDArray[np.float64],
    size: tuple[int, int],
    extent: tuple[float, float, float, float],
    limits: tuple[float, float],
    colors: str,
    *,
    ax: Axes | None = None,
) -> AxesImage:
    """A level's cells alone, cut to the image of `size`; colors from the first to the last limit."""
    ax = ax or new_axes()
    low, high = limits
    shown = ax.imshow(values, cmap=colors, vmin=low, vmax=high, extent=extent, interpolation="nearest")
    ax.set(xlim=(0, size[1]), ylim=(size[0], 0), aspect="equal")
    _bare(ax)
    return shown


def plot_photo(photo: Photo, *, ax: Axes | None = None) -> Axes:
    """The image, on axes in pixels of the original."""
    ax = ax or new_axes()
    height, width = photo.size
    ax.imshow(photo.pixels, extent=(0, width, height, 0))
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    _bare(ax)
    return ax


def extent_of(table: pd.DataFrame) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of a level's cells in pixels of the image."""
    return table["left"].min(), table["right"].max(), table["bottom"].max(), table["top"].min()


def plot_mosaic(mosaic: pd.DataFrame, column: str, limit: float, *, ax: Axes | None = None) -> AxesImage:
    """Channels as tiles, the strongest first, row by row; colors from −limit to limit."""
    ax = ax or new_axes(aspect=1)
    rows, columns = int(mosaic["row"].max()) + 1, int(mosaic["column"].max()) + 1
    tiles = mosaic[column].to_numpy(float).reshape(-1, rows, columns)
    across = int(np.ceil(len(tiles) ** 0.5))
    down = -(-len(tiles) // across)
    gap = max(1, max(rows, columns) // 24)
    canvas = np.full((down * (rows + gap) - gap, across * (columns + gap) - gap), np.nan)
    for number, tile in enumerate(tiles):
        top, left = number // across * (rows + gap), number % across * (columns + gap)
        canvas[top : top + rows, left : left + columns] = tile
    shown = ax.imshow(canvas, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    _bare(ax)
    return shown


def mosaic_limit(mosaic: pd.DataFrame) -> float:
    """One scale for original, decoded and difference: 99.5 % of the values lie within."""
    return float(np.quantile(np.abs(mosaic[["original", "decoded"]].to_numpy()), 0.995)) or 1.0


def plot_boxes(photo: Photo, boxes: pd.DataFrame, other: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Boxes on the image; those without a counterpart in `other` are thick, orange and dashed."""
    ax = plot_photo(photo, ax=ax)
    for (_, box), alone in zip(boxes.iterrows(), without_counterpart(boxes, other), strict=True):
        color = _LOST if alone else _KEPT
        corner = (box["left"], box["top"])
        shape = (box["right"] - box["left"], box["bottom"] - box["top"])
        dashes = "--" if alone else "-"
        ax.add_patch(Rectangle(corner, *shape, fill=False, edgecolor="black", linewidth=2.2, alpha=0.5))
        name = f"{box['category']} {box['score']:.2f}"
        own = Rectangle(corner, *shape, fill=False, edgecolor=color, linewidth=1.2, linestyle=dashes)
        own.set_label(name + (", only here" if alone else ""))  # told to whoever points at it
        ax.add_patch(own)
        ax.text(
            *corner,
            name,
            fontsize=5,
            color="black",
            va="bottom" if box["top"] > _LABEL * photo.size[0] else "top",  # else it would be cut off
            clip_on=True,
            bbox={"facecolor": color, "edgecolor": "none", "pad": 0.6, "alpha": 0.9},
        )
    return ax


def without_counterpart(boxes: pd.DataFrame, other: pd.DataFrame) -> NDArray[np.bool_]:
    """For each box, whether no box of its class in the other set overlaps it by half (intersection over union)."""
    own, others = (table[["left", "top", "right", "bottom"]].to_numpy(float) for table in (boxes, other))
    shared = np.minimum(own[:, None, 2:], others[:, 2:]) - np.maximum(own[:, None, :2], others[:, :2])
    area = shared.clip(min=0).prod(2)
    union = (own[:, 2:] - own[:, :2]).prod(1)[:, None] + (others[:, 2:] - others[:, :2]).prod(1) - area
    same = boxes["category"].to_numpy()[:, None] == other["category"].to_numpy()
    return np.asarray(~(same & (area >= 0.5 * union)).any(1))


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_facecolor(matplotlib.rcParams["figure.facecolor"])
