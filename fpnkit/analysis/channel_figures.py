"""Figures of one level of one image: a channel before and after, and where the level's bits went."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from fpnkit.analysis.examples import Photo
from fpnkit.plots import maps
from fpnkit.plots.panels import figure_of, new_panels

_WIDTH_INCHES, _HEIGHT_INCHES = 9.0, 4.5  # that a page in a browser has room for: of a figure, of one of its panels
_TITLE_INCHES = 0.9  # title, colour bar and its label
_VALUES, _DIFFERENCE = "viridis", "RdBu_r"
_WITHIN = (0.002, 0.998)  # quantiles: a single outlier must not take all the colours


def channel_figure(size: tuple[int, int], cells: pd.DataFrame, name: str) -> Figure:
    """`cells` as `analysis.shown.channel_map` has them, cut to the image of `size` (height, width).

    Before and after share one scale, which spans nearly all values before; the difference has as wide a one about 0.
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
    for ax, (kind, (least, most, colours)) in zip(axes, kinds.items(), strict=True):
        values, extent = maps.cell_values(cells, kind), maps.extent_of(cells)
        shown[kind] = maps.plot_cells(values, size, extent, (least, most), colours, ax=ax)
        ax.set_title("decoded − original" if kind == "difference" else f"{name}, {kind}")
    _bar(shown["original"], axes[:2], "feature (detector's units), one scale for both")
    _bar(shown["difference"], axes[2:], "difference (same units)")
    return figure_of(axes[0])


def limits_of(cells: pd.DataFrame) -> tuple[float, float]:
    """Of the colours; apart even where all cells are alike."""
    low, high = np.quantile(cells["original"].to_numpy(float), _WITHIN).tolist()
    apart = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-12)
    return low, low + apart


def level_bits_figure(photo: Photo, bits: pd.DataFrame) -> Figure:
    """The image beside itself under the bits of one level at each position of its latents."""
    axes = _panels(2, photo.size)
    maps.plot_photo(photo.pixels, photo.size, ax=axes[0]).set_title("image")
    heat = maps.plot_map(photo.pixels, photo.size, maps.cell_values(bits, "bits"), maps.extent_of(bits), ax=axes[1])
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
