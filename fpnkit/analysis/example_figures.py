"""Figures of single images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fpnkit.analysis.drawing import Drawing
from fpnkit.analysis.examples import Photo
from fpnkit.analysis.parts import Tables
from fpnkit.plots import maps
from fpnkit.plots.panels import figure_of, levels_of, new_panels
from fpnkit.plots.style import PAGE_INCHES

SECTION = "Single images"


def shown_drawings(tables: Tables, photos: Sequence[Photo]) -> list[Drawing]:
    """From the tables of `shown.shown_tables`."""
    result = [drawing for photo in photos for drawing in _of_image(tables, photo)]
    mosaics = [name for name in tables if name.startswith("mosaic_")]
    return result + [_mosaic(name.removeprefix("mosaic_"), tables[name], photos[0]) for name in mosaics]


def _of_image(tables: Tables, photo: Photo) -> list[Drawing]:
    boxes, energy = tables[f"boxes_{photo.number}"], tables[f"energy_map_{photo.number}"]
    bits = tables.get(f"bits_map_{photo.number}")  # of codecs that show their latents
    return [
        Drawing(
            f"boxes_{photo.number}",
            SECTION,
            f"Image {photo.image}: detections.",
            "Left in uncompressed, right in decoded features; orange and dashed is what the other side lacks.",
            boxes,
            partial(boxes_figure, photo, boxes),
            wide=True,
        ),
        *([] if bits is None else [_bits_map(photo, bits)]),
        Drawing(
            f"energy_map_{photo.number}",
            SECTION,
            f"Image {photo.image}: features before and after.",
            "Mean square over channels, each level on one scale: what is bright in the column of errors is lost.",
            energy,
            partial(_energy, photo, energy),
            wide=True,
        ),
    ]


def _bits_map(photo: Photo, bits: pd.DataFrame) -> Drawing:
    return Drawing(
        f"bits_map_{photo.number}",
        SECTION,
        f"Image {photo.image}: where the bits went.",
        "Bits of all latent channels over the pixels below; each map has its own scale, from least to most.",
        bits,
        partial(bits_figure, photo, bits),
        wide=True,
    )


def _mosaic(level: str, table: pd.DataFrame, photo: Photo) -> Drawing:
    return Drawing(
        f"mosaic_{level}",
        SECTION,
        f"Image {photo.image}: channels of {level}.",
        "The strongest channels, row by row, before, after, and their difference, on one scale.",
        table,
        partial(_mosaic_figure, table, level),
        wide=True,
    )


def boxes_figure(photo: Photo, boxes: pd.DataFrame) -> Figure:
    """Detections before and after; `boxes` as `analysis.shown.boxes` has them."""
    axes = new_panels(2, 2, photo.size[0] / photo.size[1], PAGE_INCHES, 0.3)
    before, after = (boxes[boxes["features"] == features] for features in ("uncompressed", "decoded"))
    for ax, title, own, other in zip(axes, ("uncompressed", "decoded"), (before, after), (after, before), strict=True):
        maps.plot_boxes(photo.pixels, photo.size, own, other, ax=ax)
        alone = int(maps.without_counterpart(own, other).sum())
        ax.set_title(f"{title}: {len(own)} objects, {alone} of them only here")
    return figure_of(axes[0])


def bits_figure(photo: Photo, bits: pd.DataFrame) -> Figure:
    """Where the bits of all levels together, and of each, went; `bits` as `analysis.shown.bits_map` has them."""
    names = levels_of(bits)
    columns = len(names) + 1 if len(names) < 4 else 3
    axes = new_panels(len(names) + 1, columns, photo.size[0] / photo.size[1], PAGE_INCHES, 0.75)
    shown = [maps.plot_map(photo.pixels, photo.size, maps.total_bits_per_pixel(bits, photo.size), ax=axes[0])]
    axes[0].set_title("all levels")
    total = bits["bits"].sum() or 1
    for ax, level in zip(axes[1:], names, strict=True):
        table = bits[bits["level"] == level]
        values, extent = maps.bits_per_pixel(table), maps.extent_of(table)
        shown.append(maps.plot_map(photo.pixels, photo.size, values, extent, ax=ax))
        ax.set_title(f"{level}, {table['bits'].sum() / total:.0%} of the bits")
    figure = figure_of(axes[0])
    for ax, heat in zip(axes, shown, strict=True):
        bar = figure.colorbar(heat, ax=ax, label="bits per pixel", location="bottom", fraction=0.06, aspect=25)
        bar.locator = MaxNLocator(4)
    return figure


def _energy(photo: Photo, energy: pd.DataFrame) -> Figure:
    names, kinds = levels_of(energy), ("original", "decoded", "error")
    axes = new_panels(3 * len(names), 3, 0.87 * photo.size[0] / photo.size[1], PAGE_INCHES, 0.15)
    for row, level in enumerate(names):
        table = energy[energy["level"] == level]
        largest = float(table["original"].quantile(0.995)) or 1.0
        for ax, kind in zip(axes[3 * row :], kinds, strict=False):
            values, extent = maps.cell_values(table, kind), maps.extent_of(table)
            shown = maps.plot_map(photo.pixels, photo.size, values, extent, largest, ax=ax)
            ax.set_title(f"{level} {kind}")
        label = "mean square" if row == 0 else ""
        figure_of(ax).colorbar(shown, ax=axes[3 * row : 3 * row + 3], label=label, fraction=0.03, aspect=20)
    return figure_of(axes[0])


def _mosaic_figure(table: pd.DataFrame, level: str) -> Figure:
    aspect = (table["row"].max() + 1) / (table["column"].max() + 1)
    axes = new_panels(3, 3, 0.87 * aspect, PAGE_INCHES, 0.3)
    table = table.assign(difference=table["decoded"] - table["original"])
    limit = maps.mosaic_limit(table)
    for ax, kind in zip(axes, ("original", "decoded", "difference"), strict=True):
        shown = maps.plot_mosaic(table, kind, limit, ax=ax)
        ax.set_title(f"{level} {kind}")
    figure_of(axes[0]).colorbar(shown, ax=axes, label="feature (detector's units)", fraction=0.03, aspect=30)
    return figure_of(axes[0])
