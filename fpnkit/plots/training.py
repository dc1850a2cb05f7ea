"""The course of a training: loss, rate and SNR of each level over its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.plots.panels import figure_of, legend_below, new_panels, note, step_axis, wide_scale
from fpnkit.plots.style import level_color, new_axes
from fpnkit.runs.metrics import MetricsLine

_THIN = {"linewidth": 0.6, "alpha": 0.55}
_MOST_MARKERS = 12  # on a curve
_PANEL_INCHES, _ASPECT = 3.1, 0.72


def plot_training(train: Sequence[MetricsLine], val: Sequence[MetricsLine]) -> Figure:
    """All panels that apply: a detector has accuracy instead of rate and SNR."""
    codec = any(line.snr_db for line in (*train, *val))
    plots = [plot_loss, plot_rate, plot_snr] if codec else [plot_loss, plot_accuracy]
    axes = new_panels(len(plots), len(plots), _ASPECT, _PANEL_INCHES * len(plots))
    for plot, ax in zip(plots, axes, strict=True):
        plot(train, val, ax=ax)
    legend_below(axes, columns=8)
    return figure_of(axes[0])


def plot_loss(train: Sequence[MetricsLine], val: Sequence[MetricsLine], *, ax: Axes | None = None) -> Axes:
    """Training thin, validation with markers."""
    ax = ax or new_axes()
    _curve(ax, train, lambda line: line.loss, "training", thin=True)
    _curve(ax, val, lambda line: line.loss, "validation")
    wide_scale(ax, "y", [line.loss for line in (*train, *val)])
    return _named(ax, "loss", (*train, *val))


def plot_rate(train: Sequence[MetricsLine], val: Sequence[MetricsLine], *, ax: Axes | None = None) -> Axes:
    """All levels together, and in validation each of them; estimated by the entropy model."""
    ax = ax or new_axes()
    _curve(ax, train, lambda line: line.bpp_estimated, "training", thin=True)
    _curve(ax, val, lambda line: line.bpp_estimated, "validation")
    for level in _levels(line.bpp_level for line in val):
        _curve(ax, val, _of_level("bpp_level", level), level, level_color(level), markers=False)
    values = [line.bpp_estimated for line in (*train, *val) if line.bpp_estimated is not None]
    values += [value for line in val for value in (line.bpp_level or {}).values()]
    wide_scale(ax, "y", values)
    return _named(ax, "bpp estimated", (*train, *val))


def plot_snr(train: Sequence[MetricsLine], val: Sequence[MetricsLine], *, ax: Axes | None = None) -> Axes:
    """SNR of each level in validation, and in training until validation has a curve.

    Decoding only the mean gives 0 dB.
    """
    ax = ax or new_axes()
    for shown, thin in ((() if len(val) > 1 else train, True), (val, False)):
        for level in _levels(line.snr_db for line in shown):
            _curve(ax, shown, _of_level("snr_db", level), level, level_color(level), thin=thin)
    return _named(ax, "SNR (dB)", (*train, *val))


def plot_accuracy(train: Sequence[MetricsLine], val: Sequence[MetricsLine], *, ax: Axes | None = None) -> Axes:
    """mAP of a detector in validation."""
    ax = ax or new_axes()
    if not any("map" in line.extra for line in val):
        return note(ax, "mAP is known after the first epoch")
    _curve(ax, val, lambda line: line.extra.get("map"), "validation")
    return _named(ax, "mAP", (*train, *val))


def _curve(
    ax: Axes,
    lines: Sequence[MetricsLine],
    value: Callable[[MetricsLine], float | None],
    label: str,
    color: str | None = None,  # None: ink, for what is of all levels
    *,
    thin: bool = False,
    markers: bool = True,
) -> None:
    points = [(line.step, number) for line in lines if (number := value(line)) is not None]
    if not points:
        return
    look: dict[str, Any] = {**_THIN} if thin else {}
    if len(points) == 1 or (markers and not thin):
        look |= {"marker": "o", "markevery": max(1, len(points) // _MOST_MARKERS), "markersize": 3}
    steps, values = zip(*points, strict=True)
    ax.plot(steps, values, color=color or matplotlib.rcParams["text.color"], label=label, **look)


def _levels(values: Iterable[Mapping[str, float] | None]) -> list[str]:
    return list(dict.fromkeys(level for each in values for level in each or ()))


def _of_level(key: str, level: str) -> Callable[[MetricsLine], float | None]:
    def value(line: MetricsLine) -> float | None:
        levels: Mapping[str, float] | None = getattr(line, key)
        return (levels or {}).get(level)

    return value


def _named(ax: Axes, y: str, lines: Sequence[MetricsLine]) -> Axes:
    step_axis(ax, max((line.step for line in lines), default=0))
    ax.set_ylabel(y)
    return ax
