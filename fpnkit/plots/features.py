"""Figures of a detector's features, from the tables of `fpnkit.analysis`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.plots.drawing import figure
from fpnkit.plots.panels import by_level, figure_of, levels_of, new_panels, note, percent_ticks
from fpnkit.plots.style import guide, ink_color, level_color, new_axes

# Title and unit.
CHANNEL_STATISTICS = {
    "mean": ("mean", "detector's units"),
    "deviation": ("deviation", "detector's units"),
    "excess_kurtosis": ("excess kurtosis", "Gaussian: 0"),
    "sparsity": ("Hoyer's sparsity", "Gaussian: 0.2"),
    "snr_db": ("", "SNR (dB)"),
}
_WIDE = 50.0  # kurtosis from which on a linear axis shows the largest alone
_DIVERGING = "PuOr"  # stays apart for the color-blind, white in the middle


@figure(
    "channel_statistics",
    "Features",
    "What channels look like.",
    "One box a level over its channels: boxes far apart mean that levels need scales of their own, "
    "long boxes that channels do.",
)
def plot_channel_statistics(channels: pd.DataFrame) -> Figure:
    """All channel statistics of uncompressed features."""
    axes = new_panels(4, aspect=0.85)
    for ax, column in zip(axes, ("mean", "deviation", "excess_kurtosis", "sparsity"), strict=True):
        plot_channel_statistic(channels, column, ax=ax)
    return figure_of(axes[0])


def plot_channel_statistic(channels: pd.DataFrame, column: str, *, ax: Axes | None = None) -> Axes:
    """One box per level over its channels: quartiles, whiskers to 1.5 times their distance, the rest as dots."""
    ax = ax or new_axes()
    ink = ink_color()
    for place, level in enumerate(levels_of(channels)):
        values = channels.loc[channels["level"] == level, column].replace([np.inf, -np.inf], np.nan).dropna()
        if values.empty:
            continue
        ax.boxplot(
            values,
            positions=[place],
            widths=0.6,
            patch_artist=True,
            boxprops={"facecolor": level_color(level), "edgecolor": ink, "linewidth": 0.6},
            medianprops={"color": ink, "linewidth": 1.2},
            whiskerprops={"color": ink, "linewidth": 0.6},
            capprops={"color": ink, "linewidth": 0.6},
            flierprops={"marker": ".", "markersize": 2, "markerfacecolor": ink, "markeredgecolor": ink},
        )
    names = levels_of(channels)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlim(-0.6, len(names) - 0.4)
    title, unit = CHANNEL_STATISTICS[column]
    ax.set(title=title, ylabel=unit)
    if column == "excess_kurtosis" and channels[column].max() > _WIDE:
        ax.set_yscale("symlog", linthresh=10)
        ax.yaxis.set_major_formatter("{x:g}")
    return ax


@figure(
    "channel_energy",
    "Features",
    "How unequal channels are.",
    "The further a curve bulges above the dashed line, the fewer channels hold the energy.",
)
def plot_energy(channels: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of a level's energy in its strongest channels; on the dashed line all channels are equally strong."""
    ax = ax or new_axes()
    for level, rows in by_level(channels):
        shares = rows["energy_share"].sort_values(ascending=False).to_numpy()
        ranks = np.arange(len(shares) + 1) / len(shares)
        ax.plot(ranks, np.concatenate([[0], shares.cumsum()]), color=level_color(level), label=level)
    ax.plot([0, 1], [0, 1], **guide())
    ax.set(xlabel="strongest channels (share of all)", ylabel="share of energy", xlim=(0, 1), ylim=(0, 1.02))
    for axis in "xy":
        percent_ticks(ax, axis)
    ax.legend()
    return ax


@figure(
    "eigenvalues",
    "Features",
    "How many dimensions channels span.",
    "A curve that reaches 95 % early belongs to a level whose channels a linear transform could pack.",
)
def plot_eigenvalues(eigenvalues: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of a level's variance that its first principal components hold."""
    ax = ax or new_axes()
    for level, rows in by_level(eigenvalues):
        needed = int((rows["cumulative"] < 0.95).sum()) + 1
        label = f"{level}: {needed} of {len(rows)} for 95 %"
        ax.plot(rows["component"] + 1, rows["cumulative"], color=level_color(level), label=label)
    ax.axhline(0.95, **guide())
    ax.set(xlabel="principal components of the channels", ylabel="share of variance", ylim=(0, 1.02), xscale="log")
    ax.xaxis.set_major_formatter("{x:g}")
    percent_ticks(ax)
    ax.legend()
    return ax


@figure(
    "histogram",
    "Features",
    "How values are spread.",
    "Bars that stay above the dotted Gaussian far out are heavy tails; the legend says how many bits a value "
    "the wrong model would cost.",
)
def plot_histograms(histogram: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Histograms of each level."""
    names = levels_of(fits)
    axes = new_panels(len(names), aspect=0.9)
    for ax, level in zip(axes, names, strict=True):
        plot_histogram(histogram, fits, level, ax=ax)
    return figure_of(axes[0])


def plot_histogram(histogram: pd.DataFrame, fits: pd.DataFrame, level: str, *, ax: Axes | None = None) -> Axes:
    """A level's standardized values with the best Gaussian and Laplacian, on a log scale that shows the tails."""
    ax = ax or new_axes()
    rows = histogram[histogram["level"] == level]
    fit = fits[fits["level"] == level].iloc[0]
    if rows.empty:
        return note(ax, f"{level}: no value within 12 deviations")
    ink = ink_color()
    ax.fill_between(rows["value"], rows["density"], 1e-9, step="mid", color=level_color(level), alpha=0.6, linewidth=0)
    for model, dashes in (("gaussian", ":"), ("laplacian", "-")):
        name = f"{model.title()}: {fit[f'bits_from_{model}']:.2f} bit off"
        ax.plot(rows["value"], rows[model], color=ink, linestyle=dashes, linewidth=1, label=name)
    lowest = rows.loc[rows["density"] > 0, "density"].min()
    ax.set(yscale="log", ylim=(max(lowest / 2, 1e-7), 4e2 * rows["density"].max()), title=level)
    ax.set(xlabel="value (deviations)", ylabel="density")
    ax.legend(loc="upper right", fontsize=5.5, handlelength=1.2, borderaxespad=0.1)
    return ax


@figure(
    "channel_correlation",
    "Features",
    "Which channels go together.",
    "Strong colors off the diagonal are channels with redundant (or opposite) content.",
)
def plot_correlations(correlations: pd.DataFrame) -> Figure:
    """Channel correlations of each level."""
    names = levels_of(correlations)
    axes = new_panels(len(names), aspect=1.05)
    for ax, level in zip(axes, names, strict=True):
        plot_correlation(correlations, level, ax=ax, bar=False)
    drawn = figure_of(axes[0])
    drawn.colorbar(axes[0].images[0], ax=axes, label="correlation", location="bottom", fraction=0.04, aspect=40)
    return drawn


def plot_correlation(correlations: pd.DataFrame, level: str, *, ax: Axes | None = None, bar: bool = True) -> Axes:
    """Correlation of the strongest channels of a level, the strongest first; channels that are constant stay empty."""
    ax = ax or new_axes(aspect=0.9)
    rows = correlations[correlations["level"] == level]
    side = round(len(rows) ** 0.5)
    matrix = rows["correlation"].to_numpy().reshape(side, side)
    image = ax.imshow(matrix, cmap=_DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    off = np.abs(matrix[~np.eye(side, dtype=bool)])
    mean = f", mean |r| {np.nanmean(off):.2f}" if np.isfinite(off).any() else ""
    ax.set(xlabel="channel by energy", ylabel="channel by energy", title=f"{level}{mean}")
    ax.grid(False)
    if bar:
        figure_of(ax).colorbar(image, ax=ax, label="correlation")
    return ax


_RELATIONS = {
    "energy_correlation": "same places\n(correlation of energy)",
    "predictable_share": "predictable\n(share of variance)",
}


@figure(
    "level_relations",
    "Features",
    "How levels relate.",
    "Left: do two levels respond in the same places; right: which part of the target's variance a linear "
    "function of the source explains on other images, which a codec that joins levels could save.",
)
def plot_all_level_relations(relations: pd.DataFrame) -> Figure:
    """Both relations between levels."""
    axes = new_panels(2, aspect=1.25)
    for ax, column in zip(axes, _RELATIONS, strict=True):
        plot_level_relations(relations, column, ax=ax)
    return figure_of(axes[0])


def plot_level_relations(relations: pd.DataFrame, column: str, *, ax: Axes | None = None) -> Axes:
    """A square per pair of levels: how well the source (row) predicts the target (column)."""
    ax = ax or new_axes(aspect=1)
    names = [str(name) for name in relations["source"].unique()]
    matrix = relations[column].to_numpy(float).reshape(len(names), len(names))
    ax.imshow(matrix, cmap="cividis", vmin=0, vmax=1)
    for row, column_number in np.ndindex(matrix.shape):
        value = matrix[row, column_number]
        text = "–" if not np.isfinite(value) else f"{value:.2f}"
        color = "white" if not value > 0.5 else "black"
        ax.text(column_number, row, text, ha="center", va="center", fontsize=7, color=color)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="target", ylabel="source", title=_RELATIONS[column])
    ax.grid(False)
    return ax


@figure(
    "spectrum",
    "Features",
    "How smooth features are.",
    "The faster a curve falls, the better fewer and coarser latents serve the level; a flat one is like noise.",
)
def plot_spectrum(spectrum: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Power over spatial frequency; noise is flat, smooth features fall off."""
    ax = ax or new_axes()
    for level, frequencies in by_level(spectrum):
        rows = frequencies[frequencies["power"] > 0]
        ax.plot(rows["frequency"], rows["power"] / rows["power"].mean(), color=level_color(level), label=level)
    ax.set(yscale="log", xlim=(0, 0.5))
    ax.set(xlabel="frequency (cycles per cell of the level)", ylabel="power over its mean")
    ax.legend()
    return ax


@figure(
    "snr_by_frequency",
    "Losses",
    "Which detail is lost.",
    "Where a curve meets the dashed line, nothing of that spatial frequency is left.",
)
def plot_snr_by_frequency(spectra: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """SNR of each frequency, `power` over `power_error`; at 0 dB (dashed) nothing of it is left."""
    ax = ax or new_axes()
    for level, frequencies in by_level(spectra):
        rows = frequencies[(frequencies["power_error"] > 0) & (frequencies["power"] > 0)]
        snr = 10 * np.log10(rows["power"] / rows["power_error"])
        ax.plot(rows["frequency"], snr, color=level_color(level), label=level)
    ax.axhline(0, **guide())
    ax.set(xlabel="frequency (cycles per cell of the level)", ylabel="SNR (dB)", xlim=(0, 0.5))
    ax.legend()
    return ax
