"""Figures of several codecs side by side, from the tables of `fpnkit.analysis.statistics.across`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.container import SHARED
from fpnkit.foundation.text import rate
from fpnkit.plots.drawing import figure
from fpnkit.plots.panels import by_level, figure_of, legend_below, new_panels, note, percent_ticks, wide_scale
from fpnkit.plots.style import SIZE_LOOKS, codec_look, level_color, new_axes

_METRICS = {"map": ("mAP", "#0072B2", "o"), "self_map": ("self-mAP", "#E69F00", "s")}
_RATE = "rate of all levels (bpp)"
_TOGETHER = "one payload for all levels"
_FEWEST_COLUMNS = 4  # that there is room for


@figure(
    "bits_per_level",
    "Along the curve",
    "Where the bits go at each lambda.",
    "Left in bpp of payload, right as shares: a color that grows with lambda is where more bits go.",
)
def plot_bits_by_lambda(rates: pd.DataFrame) -> Figure:
    """Stacked bits in bpp and as shares, where the levels have some."""
    if _all_shared(rates):
        return figure_of(plot_stacked_bits(rates))
    axes = new_panels(2, aspect=1.15)
    for ax, share in zip(axes, (False, True), strict=True):
        plot_stacked_bits(rates, share=share, ax=ax, legend=False)
    legend_below(axes, 5)
    return figure_of(axes[0])


def plot_stacked_bits(rates: pd.DataFrame, *, share: bool = False, ax: Axes | None = None, legend: bool = True) -> Axes:
    """Stacked payload of the levels, one column per codec, by lambda; `share`: each column sums to 100 %.

    Where each codec writes one payload for all levels, nothing is known of shares: the columns have their rate instead
    of a legend.
    """
    ax = ax or new_axes()
    together = _all_shared(rates)
    if share and together:
        return note(ax, f"{_TOGETHER}:\nwhat each level takes is not known")
    runs = list(dict.fromkeys(rates["run"]))
    whole = rates.groupby("run")["bpp"].sum().reindex(runs).to_numpy() if share else np.ones(len(runs))
    below = np.zeros(len(runs))
    for level, rows in by_level(rates.dropna(subset="bpp")):
        heights = rows.set_index("run")["bpp"].reindex(runs).fillna(0).to_numpy() / whole
        label = "levels together" if level == SHARED else level
        bars = ax.bar(range(len(runs)), heights, 0.7, below, color=level_color(level), label=label)
        below += heights
        if together:
            ax.bar_label(bars, fmt="{:.3g}", padding=2, fontsize=7)
    _name_columns(ax, rates.drop_duplicates("run").set_index("run").loc[runs])
    ax.set(ylabel="share of payload" if share else "payload (bpp)")
    if share:
        percent_ticks(ax)
        ax.set_ylim(0, 1)
    ax.grid(axis="x", visible=False)
    if together:
        ax.margins(y=0.1)
        ax.set_title(_TOGETHER)
    elif legend:  # over the axes: columns may be as high as these
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=5, columnspacing=1.2, handlelength=1.2)
    return ax


def _all_shared(rates: pd.DataFrame) -> bool:
    return set(rates.dropna(subset="bpp")["level"]) == {SHARED}


def _name_columns(ax: Axes, first: pd.DataFrame) -> None:
    """By lambda, and by codec if there are several; a few columns are no wider than those of many."""
    several = first["codec"].nunique() > 1
    pairs = zip(first["lmbda"], first["codec"], strict=True)
    names = [f"{codec} {rate(lmbda)}" if several else rate(lmbda) for lmbda, codec in pairs]
    slanted: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if several or len(names) > 3 else {}
    )
    ax.set_xticks(range(len(names)), names, **slanted)
    half, middle = max(len(names), _FEWEST_COLUMNS) / 2, (len(names) - 1) / 2
    ax.set(xlabel="lambda", xlim=(middle - half, middle + half))


@figure(
    "snr_per_level",
    "Along the curve",
    "What each level gains.",
    "The steeper a curve, the more its level gains from more bits; a flat one has enough bits, or is starved.",
)
def plot_snr_by_rate(rates: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """SNR of each level over the total rate."""
    return plot_by_rate(rates, "snr_db", "SNR (dB)", ax=ax)


@figure(
    "dead_latents",
    "Along the curve",
    "How much of each codec is idle.",
    "Share of latent channels that never change: where it is high, a narrower codec would do.",
)
def plot_dead_by_rate(rates: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of dead latent channels of each level over the total rate."""
    ax = plot_by_rate(rates, "dead_share", "dead latent channels", ax=ax)
    ax.set_ylim(-0.02, 1.02)
    percent_ticks(ax)
    return ax


def plot_by_rate(rates: pd.DataFrame, column: str, label: str, *, ax: Axes | None = None) -> Axes:
    """A value of each level over the total rate; colors are levels, markers and dashes are codecs."""
    ax = ax or new_axes()
    if column not in rates or rates[column].isna().all():  # where all levels share one payload
        return note(ax, f"no codec here tells the {label}\nof each level")
    for codec, rows in rates.groupby("codec", sort=False):
        look = codec_look(str(codec))
        for level, unsorted in by_level(rows.dropna(subset=column)):
            part = unsorted.sort_values("bpp_all")
            text = level if rates["codec"].nunique() == 1 else f"{level} {codec}"
            ax.plot(
                part["bpp_all"],
                part[column],
                color=level_color(level),
                marker=look.marker,
                linestyle=look.dashes,
                label=text,
            )
    wide_scale(ax, "x", rates["bpp_all"])
    ax.set(xlabel=_RATE, ylabel=label)
    ax.legend()
    return ax


@figure(
    "lost_objects",
    "Along the curve",
    "Which objects are lost first.",
    "From right to left the rate falls: the curve that rises first belongs to the objects that are lost first.",
)
def plot_lost_by_rate(losses: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of small, medium and large objects that are lost, with 95 % intervals."""
    ax = ax or new_axes()
    for (codec, size), rows in losses.groupby(["codec", "size"], sort=False):
        color, marker = SIZE_LOOKS[str(size)]
        part = rows.sort_values("bpp_all")
        text = str(size) if losses["codec"].nunique() == 1 else f"{size} {codec}"
        label = f"{text} ({int(part['objects'].max())})"
        dashes = codec_look(str(codec)).dashes
        ax.plot(part["bpp_all"], part["share"], color=color, marker=marker, linestyle=dashes, label=label)
        ax.vlines(part["bpp_all"], part["low"], part["high"], color=color, linewidth=0.7)
    wide_scale(ax, "x", losses["bpp_all"])
    ax.set(xlabel=_RATE, ylabel="objects lost", ylim=(0, 1))
    percent_ticks(ax)
    ax.legend()
    return ax


@figure(
    "task",
    "Along the curve",
    "What it does to detection.",
    "Accuracy on these images; few images make it noisy, so a difference of a point or two may be chance.",
)
def plot_task_by_rate(task: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """mAP and self-mAP over rate; the dashed line is mAP without a codec."""
    ax = ax or new_axes()
    for codec, rows in task.groupby("codec", sort=False):
        look = codec_look(str(codec))
        for column, (name, color, marker) in _METRICS.items():
            part = rows.dropna(subset=[column]).sort_values("bpp_all")
            if len(part):
                text = name if task["codec"].nunique() == 1 else f"{name} {codec}"
                values = 100 * part[column]
                ax.plot(part["bpp_all"], values, color=color, marker=marker, linestyle=look.dashes, label=text)
    ceiling = task["map_uncompressed"].max()
    if np.isfinite(ceiling):
        ax.axhline(100 * ceiling, color=_METRICS["map"][1], linestyle=":", linewidth=1)
    wide_scale(ax, "x", task["bpp_all"])
    ax.set(xlabel=_RATE, ylabel="AP (%)", ylim=(0, None))
    ax.legend()
    return ax
