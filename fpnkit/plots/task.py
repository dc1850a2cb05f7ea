"""Figures of what coding does to the detector's task."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fpnkit.plots.panels import levels_of, note, percent_ticks
from fpnkit.plots.style import level_colour, new_axes

_BAR = "#56B4E9"
_AXES = {"size": "size of the object", "score_bin": "score in uncompressed features", "category": ""}
METRICS = {"self_map": "self-mAP", "map": "mAP"}


def plot_lost(shares: pd.DataFrame, by: str, *, ax: Axes | None = None, most: int = 12) -> Axes:
    """Share of objects no longer found, 95 % intervals, number of objects; the `most` largest groups."""
    ax = ax or new_axes()
    if shares.empty:
        return note(ax, "no object was found\non uncompressed features")
    rows = shares.nlargest(most, "objects") if len(shares) > most else shares
    ink = matplotlib.rcParams["axes.edgecolor"]
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


def plot_scores(objects: pd.DataFrame, threshold: float, *, ax: Axes | None = None) -> Axes:
    """Score of each object before and after coding; on the dashed line nothing changed, at 0 it is not found at all."""
    ax = ax or new_axes(aspect=0.9)
    ink = matplotlib.rcParams["axes.edgecolor"]
    looks = {"small": ("#D55E00", "o"), "medium": ("#56B4E9", "s"), "large": ("#009E73", "^")}
    for size, (colour, marker) in looks.items():
        rows = objects[objects["size"] == size]
        if len(rows):
            label = f"{size} ({len(rows)})"
            ax.plot(rows["score"], rows["score_after"], marker, color=colour, markersize=2.5, alpha=0.8, label=label)
    ax.plot([threshold, 1], [threshold, 1], color=ink, linestyle="--", linewidth=0.7)
    ax.axhline(threshold, color=ink, linewidth=0.7)
    ax.set(xlabel="score before", ylabel="score after", xlim=(threshold - 0.02, 1.02), ylim=(-0.03, 1.03))
    if len(objects):
        ax.legend()
    return ax


def plot_sensitivity(
    sensitivity: pd.DataFrame, clean: float, metric: str, *, ax: Axes | None = None, legend: bool = True
) -> Axes:
    """Metric with Gaussian noise on one level at a time; the dashed line is without noise."""
    ax = ax or new_axes()
    for level in levels_of(sensitivity):
        rows = sensitivity[sensitivity["level"] == level]
        ax.plot(rows["snr_db"], 100 * rows[metric], color=level_colour(level), marker="o", label=level)
    ax.axhline(100 * clean, color=matplotlib.rcParams["axes.edgecolor"], linestyle="--", linewidth=0.7)
    ax.set(xlabel="SNR of the level (dB)", ylabel=f"{METRICS[metric]} (%)")
    if legend:
        ax.legend()
    return ax


def plot_weights(weights: pd.DataFrame, used: dict[str, float] | None = None, *, ax: Axes | None = None) -> Axes:
    """Weights that the sensitivity suggests, as bars, beside those the codec was trained with, as diamonds."""
    ax = ax or new_axes()
    ink, paper = matplotlib.rcParams["axes.edgecolor"], matplotlib.rcParams["axes.facecolor"]
    names = levels_of(weights)
    ax.bar(range(len(names)), weights["weight"], color=[level_colour(name) for name in names], width=0.65)
    for place, weight in enumerate(weights["weight"]):
        ax.annotate(f"{weight:.2f}", (place, weight), (0, 3), textcoords="offset points", ha="center", fontsize=7)
    if used:
        total = sum(used.values())
        marks = [used[name] / total for name in names]
        ax.plot(range(len(names)), marks, "D", color=paper, markeredgecolor=ink, linestyle="none", label="trained with")
        ax.legend()
    ax.set_xticks(range(len(names)), names)
    ax.set(
        ylabel="weight in the distortion",
        ylim=(0, 1.15 * max(weights["weight"].max(), max((used or {"": 0}).values()))),
    )
    ax.grid(axis="x", visible=False)
    return ax
