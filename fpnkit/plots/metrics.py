"""One number of several runs over the steps of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from fpnkit.plots.panels import below, step_axis, wide_scale
from fpnkit.plots.style import new_axes

# Okabe and Ito's without black, which is invisible in a dark figure.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # seven, so that a repeated color gets another marker
_THIN: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.6}
_MOST_MARKERS = 12  # on a curve
_NAMES = {"bpp_estimated": "bpp estimated", "lr": "learning rate", "seconds": "time (s)", "aux_loss": "auxiliary loss"}
_LEVEL_NAMES = {"snr_db": "SNR {} (dB)", "bpp_level": "bpp {} estimated"}
_NOT_MEASURED = ("time", "split", "epoch", "step")


def metric_keys(frames: Sequence[pd.DataFrame]) -> list[str]:
    """The columns that can be plotted: numbers that some run measured, those of most interest first."""
    keys = dict.fromkeys(
        str(key)
        for frame in frames
        for key in frame.columns
        if key not in _NOT_MEASURED and pd.api.types.is_numeric_dtype(frame[key])
    )
    return list(keys)


def metric_name(key: str) -> str:
    """Axis label: `snr_db.p2` is `SNR p2 (dB)`."""
    group, _, level = key.partition(".")
    return _LEVEL_NAMES[group].format(level) if level and group in _LEVEL_NAMES else _NAMES.get(key, key)


def plot_metric(
    frames: Mapping[str, pd.DataFrame], key: str, *, marked: str | None = None, ax: Axes | None = None
) -> Axes:
    """A curve for each run, by its label: validation with markers, training thin; `frames` as of `Run.metrics`.

    The curve with the label `marked` is thick and lies above the others.
    A run that did not measure `key` is still in the legend, so that its absence is not taken for an oversight.
    """
    ax = ax or new_axes()
    values: list[float] = []
    for number, (label, frame) in enumerate(frames.items()):
        color, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        measured = frame.dropna(subset=[key]) if key in frame else frame.iloc[:0]
        if measured.empty:
            ax.plot([], [], color=color, marker=marker, label=f"{label} (not measured)")
            continue
        look: dict[str, Any] = {"linewidth": 2.6, "zorder": 3} if label == marked else {}
        train, val = (measured[measured["split"] == split] for split in ("train", "val"))
        thin = _THIN if len(val) else _THIN | look
        ax.plot(train["step"], train[key], color=color, label=None if len(val) else label, **thin)
        every = max(1, len(val) // _MOST_MARKERS)
        if len(val):
            ax.plot(val["step"], val[key], color=color, marker=marker, markevery=every, label=label, **look)
        values += measured[key].tolist()
    if not key.startswith("snr_db"):  # decibels are logarithms
        wide_scale(ax, "y", values)
    step_axis(ax, max((int(frame["step"].max()) for frame in frames.values() if len(frame)), default=0))
    ax.set_ylabel(metric_name(key))
    if frames:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below(ax), borderaxespad=0)
    return ax
