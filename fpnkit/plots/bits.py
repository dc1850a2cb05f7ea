"""Figures of where a codec's bits go and how the estimate compares with the bytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.plots.drawing import figure
from fpnkit.plots.features import plot_channel_statistic
from fpnkit.plots.panels import by_level, figure_of, legend_below, levels_of, new_panels, note, wide_scale
from fpnkit.plots.style import diamonds, guide, ink_color, level_color, new_axes

_LEAST = 1e-3  # bits per symbol that are told apart


@figure(
    "bits_per_level",
    "Bits",
    "Where the bits go.",
    "Bars are real payloads, diamonds are the entropy model's estimates; percentages are shares of all payload.",
)
def plot_bits_per_level(image_bits: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Payload of each level in bpp and as a share of all; the diamonds are what the entropy model estimates."""
    ax = ax or new_axes()
    names = levels_of(image_bits)
    pixels = image_bits.drop_duplicates("image")["pixels"].sum()
    sums = image_bits.groupby("level", sort=False)[["payload_bits", "estimated_bits"]].sum()
    total = sums["payload_bits"].sum() or 1
    for place, level in enumerate(names):
        payload, estimate = sums.loc[level].to_numpy(float)
        ax.bar(place, payload / pixels, color=level_color(level), width=0.65)
        ax.annotate(
            f"{payload / total:.0%}",
            (place, max(payload, estimate) / pixels),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    estimates = sums["estimated_bits"].to_numpy() / pixels
    label = "estimated"
    ax.plot(range(len(names)), estimates, **diamonds(), label=label)
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel="rate (bpp)", ylim=(0, 1.18 * max(*estimates, *(sums["payload_bits"] / pixels), 1e-9)))
    ax.grid(axis="x", visible=False)
    ax.legend()
    return ax


@figure(
    "bits_per_channel",
    "Bits",
    "Which latent channels cost bits.",
    "A curve that drops to the floor has channels that carry nothing; the codec could be narrower there.",
)
def plot_bits_per_channel(latent_channels: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Bits per symbol of each latent channel, the costliest first; legends say how many are dead."""
    ax = ax or new_axes()
    for level, rows in by_level(latent_channels):
        cost = rows["bits_per_symbol"].sort_values(ascending=False).to_numpy()
        label = f"{level}: {int(rows['dead'].sum())} of {len(rows)} dead"
        ax.plot(np.arange(1, len(cost) + 1), np.maximum(cost, _LEAST), color=level_color(level), label=label)
    wide_scale(ax, "y", latent_channels["bits_per_symbol"].clip(lower=_LEAST))
    ax.set(xlabel="latent channel by cost", ylabel="bits per symbol")
    ax.legend()
    return ax


@figure(
    "density_gap",
    "Bits",
    "How well the densities fit.",
    "A dot above the dashed line is a latent channel whose density wastes bits; the legend has each level's "
    "total. Few images make all entropies a little too small.",
)
def plot_density_gap(latent_channels: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Cost of each latent channel over the entropy of its own histogram; above the line the density wastes bits."""
    ax = ax or new_axes(aspect=0.9)
    ends = []
    for level, channels in by_level(latent_channels):
        rows = channels[~channels["dead"].astype(bool)]
        spent, least = rows["bits"].sum(), (rows["entropy"] * rows["symbols"]).sum()
        label = f"{level}: {spent / least - 1:+.1%}" if least > 0 else level
        ax.plot(
            rows["entropy"],
            rows["bits_per_symbol"],
            linestyle="none",
            marker=".",
            markersize=3.5,
            color=level_color(level),
            label=label,
        )
        ends += [*rows["entropy"], *rows["bits_per_symbol"]]
    if not ends:
        return note(ax, "all latent channels are dead")
    low, high = max(min(ends) / 1.1, _LEAST), max(ends) * 1.1
    ax.plot([low, high], [low, high], **guide())
    for axis in "xy":
        wide_scale(ax, axis, (low, high))
    ax.set(xlim=(low, high), ylim=(low, high))
    ax.set(xlabel="entropy of the symbols (bits)", ylabel="bits per symbol")
    ax.legend()
    return ax


@figure(
    "latent_histogram",
    "Bits",
    "Coded symbols and their expected frequencies.",
    "Bars above the line are symbols that the learned density did not expect, each of which costs extra bits.",
)
def plot_latent_histograms(latent_histogram: pd.DataFrame) -> Figure:
    """Latent histograms of each level."""
    names = levels_of(latent_histogram)
    axes = new_panels(len(names), aspect=0.9)
    for ax, level in zip(axes, names, strict=True):
        plot_latent_histogram(latent_histogram, level, ax=ax, legend=False)
    legend_below(axes)
    return figure_of(axes[0])


def plot_latent_histogram(
    latent_histogram: pd.DataFrame, level: str, *, ax: Axes | None = None, legend: bool = True
) -> Axes:
    """Frequencies of symbols over all latent channels of a level, and the probabilities the learned densities give
    them.
    """
    ax = ax or new_axes()
    rows = latent_histogram[latent_histogram["level"] == level]
    if len(rows) < 2:
        return note(ax, f"{level}: every latent channel\nis dead")
    ink = ink_color()
    lowest = rows.loc[rows["share"] > 0, "share"].min() / 3
    ax.bar(rows["symbol"], rows["share"], width=1.0, color=level_color(level), alpha=0.6, label="coded")
    ax.plot(rows["symbol"], rows["learned"].clip(lower=lowest), color=ink, linewidth=1, label="learned density")
    ax.set(xlabel="symbol", ylabel="share", yscale="log", ylim=(lowest, 2))
    ax.set_title(f"{level}, escaped {100 * rows['escaped'].iloc[0]:.2g} %")
    if legend:
        ax.legend()
    return ax


@figure(
    "rate_gap",
    "Bits",
    "Estimate against bytes.",
    "Each dot is one level of one image; real payloads end on whole bytes and carry the coder's state, "
    "so that small ones lie a few bytes above 0.",
)
def plot_rate_gap(image_bits: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Payload minus estimate of each image and level; outside the dashed lines (1 % + 8 bytes) it is suspicious."""
    ax = ax or new_axes()
    for level, rows in by_level(image_bits):
        payload, estimate = rows["payload_bits"] / 8, rows["estimated_bits"] / 8
        whole = payload.sum() / max(estimate.sum(), 1e-9) - 1
        ax.plot(
            estimate,
            payload - estimate,
            linestyle="none",
            marker=".",
            color=level_color(level),
            label=f"{level}: {whole:+.1%}",
        )
    estimate = image_bits["estimated_bits"] / 8
    x = np.geomspace(max(estimate.min(), 1e-2), max(estimate.max(), 1), 50)
    for sign in (-1, 1):
        ax.plot(x, sign * (x / 100 + 8), **guide())
    wide_scale(ax, "x", estimate)
    ax.set(xlabel="estimated (bytes per image)", ylabel="payload − estimate (bytes)")
    ax.legend(title="of all images", title_fontsize=7, loc="lower left")
    return ax


@figure(
    "snr",
    "Losses",
    "What remains of each level.",
    "Diamonds are whole levels, boxes their channels: a channel at 0 dB is replaced by its mean.",
)
def plot_snr_per_level(channel_loss: pd.DataFrame, level_loss: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """SNR of each whole level as a diamond over the boxes of its channels."""
    ax = plot_channel_statistic(channel_loss, "snr_db", ax=ax)
    names = levels_of(level_loss)
    snr = level_loss["snr_db"].replace([np.inf, -np.inf], np.nan)
    ax.plot(range(len(names)), snr, **diamonds(), label="whole level")
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel="SNR (dB)")
    ax.legend()
    return ax


EPOCH_COLUMNS = {"bpp": ("estimated rate", "bpp"), "snr_db": ("SNR", "dB")}


@figure(
    "epochs",
    "Bits",
    "How training distributed the bits.",
    "Rate and SNR of each level in validation: where curves cross, training moved bits between levels.",
)
def plot_rate_and_snr(epochs: pd.DataFrame) -> Figure:
    """Rate and SNR over epochs."""
    axes = new_panels(2, aspect=1.0)
    for ax, column in zip(axes, EPOCH_COLUMNS, strict=True):
        plot_epochs(epochs, column, ax=ax, legend=False)
    legend_below(axes, 6)
    return figure_of(axes[0])


def plot_epochs(epochs: pd.DataFrame, column: str, *, ax: Axes | None = None, legend: bool = True) -> Axes:
    """A level's validation rate or SNR from epoch to epoch."""
    ax = ax or new_axes()
    if epochs.empty:
        return note(ax, "no validation in metrics.jsonl")
    marker = "o" if epochs["epoch"].nunique() < 10 else ""
    for level, rows in by_level(epochs.dropna(subset=column)):
        ax.plot(rows["epoch"], rows[column], color=level_color(level), marker=marker, label=level)
    ax.set(title=EPOCH_COLUMNS[column][0], xlabel="epoch", ylabel=EPOCH_COLUMNS[column][1])
    if column == "bpp":
        wide_scale(ax, "y", epochs["bpp"].dropna())
    if legend:
        ax.legend()
    return ax
