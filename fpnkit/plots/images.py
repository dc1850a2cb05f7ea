"""Figures of single images: detections, bits and features over the picture, and channels before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from fpnkit.plots import maps
from fpnkit.plots.drawing import figure
from fpnkit.plots.maps import Photo
from fpnkit.plots.panels import figure_of, levels_of, new_panels
from fpnkit.plots.style import PAGE_INCHES

_WIDTH_INCHES, _HEIGHT_INCHES = 9.0, 4.5  # widths that fit a browser page: of a figure, of one of its panels
_TITLE_INCHES = 0.9  # title, color bar and its label
_VALUES, _DIFFERENCE = "viridis", "RdBu_r"
_WITHIN = (0.002, 0.998)  # quantiles: a single outlier must not take all the colors


@figure(
    "boxes_{photo.number}",
    "Single images",
    "Image {photo.image}: detections.",
    "Left: uncompressed features, right: decoded features; orange dashed boxes have no counterpart on the other side.",
    wide=True,
)
def plot_detections(photo: Photo, boxes: pd.DataFrame) -> Figure:
    """Detections before and after; `boxes` as in `analysis.statistics.maps.boxes`."""
    axes = new_panels(2, 2, photo.size[0] / photo.size[1], PAGE_INCHES, 0.3)
    before, after = (boxes[boxes["features"] == features] for features in ("uncompressed", "decoded"))
    for ax, title, own, other in zip(axes, ("uncompressed", "decoded"), (before, after), (after, before), strict=True):
        maps.plot_boxes(photo, own, other, ax=ax)
        alone = int(maps.without_counterpart(own, other).sum())
        ax.set_title(f"{title}: {len(own)} objects, {alone} of them only here")
    return figure_of(axes[0])


@figure(
    "bits_map_{photo.number}",
    "Single images",
    "Image {photo.image}: where the bits went.",
    "Bits of all latent channels over the pixels below; each map has its own scale, from 0 to its largest value.",
    wide=True,
)
def plot_bits_maps(photo: Photo, bits: pd.DataFrame) -> Figure:
    """Where the bits went, for all levels together and for each; `bits` as in `analysis.statistics.maps.bits_map`."""
    names = levels_of(bits)
    columns = len(names) + 1 if len(names) < 4 else 3
    axes = new_panels(len(names) + 1, columns, photo.size[0] / photo.size[1], PAGE_INCHES, 0.75)
    shown = [maps.plot_map(photo, maps.total_bits_per_pixel(bits, photo.size), ax=axes[0])]
    axes[0].set_title("all levels")
    total = bits["bits"].sum() or 1
    for ax, level in zip(axes[1:], names, strict=True):
        table = bits[bits["level"] == level]
        shown.append(maps.plot_map(photo, maps.bits_per_pixel(table), maps.extent_of(table), ax=ax))
        ax.set_title(f"{level}, {table['bits'].sum() / total:.0%} of the bits")
    drawn = figure_of(axes[0])
    for ax, heat in zip(axes, shown, strict=True):
        bar = drawn.colorbar(heat, ax=ax, label="bits per pixel", location="bottom", fraction=0.06, aspect=25)
        bar.locator = MaxNLocator(4)
    return drawn


@figure(
    "energy_map_{photo.number}",
    "Single images",
    "Image {photo.image}: features before and after.",
    "Mean square over channels, each level on one scale: bright areas in the error column are lost.",
    wide=True,
)
def plot_energy_maps(photo: Photo, energy: pd.DataFrame) -> Figure:
    """One row per level; `energy` as in `analysis.statistics.maps.energy_map`."""
    names, kinds = levels_of(energy), ("original", "decoded", "error")
    axes = new_panels(3 * len(names), 3, 0.87 * photo.size[0] / photo.size[1], PAGE_INCHES, 0.15)
    for row, level in enumerate(names):
        table = energy[energy["level"] == level]
        largest = float(table["original"].quantile(0.995)) or 1.0
        for ax, kind in zip(axes[3 * row :], kinds, strict=False):
            shown = maps.plot_map(photo, maps.cell_values(table, kind), maps.extent_of(table), largest, ax=ax)
            ax.set_title(f"{level} {kind}")
        label = "mean square" if row == 0 else ""
        figure_of(ax).colorbar(shown, ax=axes[3 * row : 3 * row + 3], label=label, fraction=0.03, aspect=20)
    return figure_of(axes[0])


@figure(
    "mosaic_{level}",
    "Single images",
    "Image {image}: channels of {level}.",
    "The strongest channels, row by row, before, after, and their difference, on one scale.",
    wide=True,
)
def plot_mosaics(mosaic: pd.DataFrame, level: str, image: int) -> Figure:
    """Channels of one level of one image; `mosaic` as in `analysis.statistics.maps.mosaic`."""
    aspect = (mosaic["row"].max() + 1) / (mosaic["column"].max() + 1)
    axes = new_panels(3, 3, 0.87 * aspect, PAGE_INCHES, 0.3)
    mosaic = mosaic.assign(difference=mosaic["decoded"] - mosaic["original"])
    limit = maps.mosaic_limit(mosaic)
    for ax, kind in zip(axes, ("original", "decoded", "difference"), strict=True):
        shown = maps.plot_mosaic(mosaic, kind, limit, ax=ax)
        ax.set_title(f"{level} {kind}")
    figure_of(axes[0]).colorbar(shown, ax=axes, label="feature (detector's units)", fraction=0.03, aspect=30)
    return figure_of(axes[0])


def plot_channel(size: tuple[int, int], cells: pd.DataFrame, name: str) -> Figure:
    """`cells` as in `analysis.statistics.maps.channel_map`, cut to the image of `size` (height, width).

    Both panels share one scale that spans nearly all original values; the difference has a scale of the same width
    around 0.
    """
    axes = _panels(3, size)
    low, high = limits_of(cells)
    half = (high - low) / 2
    cells = cells.assign(difference=cells["decoded"] - cells["original"])
    kinds = {
        "original": (low, high, _VALUES),
        "decoded": (low, high, _VALUES),
        "difference": (-half, half, _DIFFERENCE),
    }
    shown = {}
    for ax, (kind, (least, most, colors)) in zip(axes, kinds.items(), strict=True):
        values, extent = maps.cell_values(cells, kind), maps.extent_of(cells)
        shown[kind] = maps.plot_cells(values, size, extent, (least, most), colors, ax=ax)
        ax.set_title("decoded − original" if kind == "difference" else f"{name}, {kind}")
    _bar(shown["original"], axes[:2], "feature (detector's units), one scale for both")
    _bar(shown["difference"], axes[2:], "difference (same units)")
    return figure_of(axes[0])


def limits_of(cells: pd.DataFrame) -> tuple[float, float]:
    """Color limits, distinct even if all cells are equal."""
    low, high = np.quantile(cells["original"].to_numpy(float), _WITHIN).tolist()
    apart = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-12)
    return low, low + apart


def plot_level_bits(photo: Photo, bits: pd.DataFrame) -> Figure:
    """The image, and next to it the image under a heat map of one level's bits."""
    axes = _panels(2, photo.size)
    maps.plot_photo(photo, ax=axes[0]).set_title("image")
    heat = maps.plot_map(photo, maps.cell_values(bits, "bits"), maps.extent_of(bits), ax=axes[1])
    axes[1].set_title(f"{bits['level'].iloc[0]}, {bits['bits'].sum():,.0f} bits (estimated)")
    _bar(heat, axes[1:], "bits per position of the latents")
    return figure_of(axes[0])


def _panels(count: int, size: tuple[int, int]) -> list[Axes]:
    aspect = size[0] / size[1]
    axes = new_panels(count, count, aspect, min(_WIDTH_INCHES, count * _HEIGHT_INCHES / aspect), _TITLE_INCHES)
    for ax in axes:
        ax.set_anchor("N")
    return axes


def _bar(shown: AxesImage, axes: Sequence[Axes], label: str) -> None:
    bar = figure_of(axes[0]).colorbar(
        shown, ax=list(axes), label=label, location="bottom", fraction=0.05, aspect=30 * len(axes)
    )
    bar.locator = MaxNLocator(5)
