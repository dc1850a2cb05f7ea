"""Figures of what coding does to the detector's task."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.plots.drawing import figure
from fpnkit.plots.panels import by_level, figure_of, legend_below, levels_of, new_panels, note, percent_ticks
from fpnkit.plots.style import SIZE_LOOKS, diamonds, guide, ink_color, level_color, new_axes

_BAR = "#56B4E9"
_AXES = {"size": "size of the object", "score_bin": "score in uncompressed features", "category": ""}
_METRICS = {"self_map": "self-mAP", "map": "mAP"}


@figure(
    "lost_by_size_and_score",
    "Objects",
    "Which objects are lost first.",
    "Share of the objects detected on uncompressed features (score of at least {threshold:g}) that is not any "
    "more, with 95 % intervals and the number of objects; sizes are COCO's.",
)
def plot_lost_by_size_and_score(shares: pd.DataFrame, threshold: float) -> Figure:
    """Lost objects by size and by score: `by` is the grouping, `group` the group; objects reach `threshold`."""
    axes = new_panels(2, 1, aspect=0.5)
    for ax, by in zip(axes, ("size", "score_bin"), strict=True):
        plot_lost(shares[shares["by"] == by].rename(columns={"group": by}), by, ax=ax)
    return figure_of(axes[0])


@figure(
    "lost_by_category",
    "Objects",
    "Which classes are lost first.",
    "The same by class, for the classes with most objects.",
)
def plot_lost_by_category(shares: pd.DataFrame) -> Axes:
    """Lost objects by class."""
    return plot_lost(shares, "category")


def plot_lost(shares: pd.DataFrame, by: str, *, ax: Axes | None = None, most: int = 12) -> Axes:
    """Share of objects no longer found, 95 % intervals, number of objects; the `most` largest groups."""
    ax = ax or new_axes()
    if shares.empty:
        return note(ax, "no object was found\non uncompressed features")
    rows = shares.nlargest(most, "objects") if len(shares) > most else shares
    ink = ink_color()
    flat = by == "category"
    names = [
        f"{name} ({count})" if flat else f"{name}\n({count})"
        for name, count in zip(rows[by], rows["objects"], strict=True)
    ]
    places = np.arange(len(rows))
    if flat:
        ax.barh(places, rows["share"], color=_BAR)
        ax.hlines(places, rows["low"], rows["high"], color=ink, linewidth=0.8)
        ax.set_yticks(places, names)
        ax.invert_yaxis()
        ax.set(xlabel="lost", xlim=(0, 1))
        percent_ticks(ax, "x")
        ax.grid(axis="y", visible=False)
        return ax
    ax.bar(places, rows["share"], color=_BAR, width=0.65)
    ax.vlines(places, rows["low"], rows["high"], color=ink, linewidth=0.8)
    ax.set_xticks(places, names)
    ax.set(ylabel="lost", xlabel=_AXES[by], ylim=(0, 1))
    percent_ticks(ax)
    ax.grid(axis="x", visible=False)
    return ax


@figure(
    "scores",
    "Objects",
    "How confident the detector still is.",
    "Each dot is an object: below the dashed line its score fell, below the solid one it is lost, "
    "at 0 no box of its class is left in its place.",
)
def plot_scores(objects: pd.DataFrame, threshold: float, *, ax: Axes | None = None) -> Axes:
    """Score of each object before and after coding; on the dashed line nothing changed, at 0 it is not found at all."""
    ax = ax or new_axes(aspect=0.9)
    ink = ink_color()
    for size, (color, marker) in SIZE_LOOKS.items():
        rows = objects[objects["size"] == size]
        if len(rows):
            label = f"{size} ({len(rows)})"
            ax.plot(rows["score"], rows["score_after"], marker, color=color, markersize=2.5, alpha=0.8, label=label)
    ax.plot([threshold, 1], [threshold, 1], **guide())
    ax.axhline(threshold, color=ink, linewidth=0.7)
    ax.set(xlabel="score before", ylabel="score after", xlim=(threshold - 0.02, 1.02), ylim=(-0.03, 1.03))
    if len(objects):
        ax.legend()
    return ax


@figure(
    "sensitivity",
    "Sensitivity",
    "Which level the detector needs most.",
    "Gaussian noise on one level at a time: the level whose curve falls first deserves most bits.",
)
def plot_sensitivities(sensitivity: pd.DataFrame) -> Figure:
    """Sensitivity of each available metric; rows with infinite SNR have no noise."""
    clean = sensitivity["snr_db"] == float("inf")
    shown = [metric for metric in _METRICS if sensitivity[metric].notna().all()]
    axes = new_panels(max(len(shown), 1), aspect=1.1 if len(shown) > 1 else 0.75)
    for ax, metric in zip(axes, shown, strict=False):
        plot_sensitivity(
            sensitivity[~clean], float(sensitivity.loc[clean, metric].iloc[0]), metric, ax=ax, legend=False
        )
    legend_below(axes, 6)
    return figure_of(axes[0])


def plot_sensitivity(
    sensitivity: pd.DataFrame, clean: float, metric: str, *, ax: Axes | None = None, legend: bool = True
) -> Axes:
    """Metric with Gaussian noise on one level at a time; the dashed line is without noise."""
    ax = ax or new_axes()
    for level, rows in by_level(sensitivity):
        ax.plot(rows["snr_db"], 100 * rows[metric], color=level_color(level), marker="o", label=level)
    ax.axhline(100 * clean, **guide())
    ax.set(xlabel="SNR of the level (dB)", ylabel=f"{_METRICS[metric]} (%)")
    if legend:
        ax.legend()
    return ax


@figure(
    "suggested_weights",
    "Sensitivity",
    "Weights for the distortion.",
    "Bars: in proportion to what self-mAP loses per unit of standardized MSE; diamonds: as trained.",
)
def plot_weights(weights: pd.DataFrame, used: Mapping[str, float] | None = None, *, ax: Axes | None = None) -> Axes:
    """Weights that the sensitivity suggests, as bars, beside those the codec was trained with, as diamonds."""
    ax = ax or new_axes()
    names = levels_of(weights)
    ax.bar(range(len(names)), weights["weight"], color=[level_color(name) for name in names], width=0.65)
    for place, weight in enumerate(weights["weight"]):
        ax.annotate(f"{weight:.2f}", (place, weight), (0, 3), textcoords="offset points", ha="center", fontsize=7)
    if used:
        total = sum(used.values())
        marks = [used[name] / total for name in names]
        ax.plot(range(len(names)), marks, **diamonds(), label="trained with")
        ax.legend()
    ax.set_xticks(range(len(names)), names)
    ax.set(
        ylabel="weight in the distortion",
        ylim=(0, 1.15 * max(weights["weight"].max(), max((used or {"": 0}).values()))),
    )
    ax.grid(axis="x", visible=False)
    return ax
