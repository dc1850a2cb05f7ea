"""Rate against accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter

from fpnkit.plots.panels import below, figure_of, note
from fpnkit.plots.style import CurveStyle, codec_look, ink_color, new_axes
from fpnkit.ratedist.points import ANCHOR, MEAN_SNR, PERCENT, Curve, Point, RdPoints, mean_of
from fpnkit.runs.results import PARTS

_X_NAMES = {
    "bpp": "rate (bits per pixel)",
    "kb_per_image": "size (KB per image)",
    "bpp_estimated": "estimated rate (bits per pixel)",
}
_Y_NAMES = {
    "map": "mAP (%)",
    "map50": "mAP50 (%)",
    "self_map": "self-mAP (%)",
    "share_of_ceiling": "share of the ceiling (%)",
    **{f"{part}_map": f"{part} mAP (%)" for part in PARTS},
    **{f"{part}_share_of_ceiling": f"share of the ceiling of {part} mAP (%)" for part in PARTS},
    "loss": "validation loss",
    MEAN_SNR: "SNR, mean of levels (dB)",
}
_TRAIL = 10  # validations that are shown of a run on its way
_MOST_INSIDE = 4  # entries of a legend inside the axes
_TITLE_POINTS = 6.5
_WIDEST = 0.97  # of a legend, in widths of the figure: letters shrink in steps
_ONE_DECADE, _MANY_DECADES = 8, 300  # largest by smallest rate

Values = Mapping[str, float]


def plot_rd(
    points: RdPoints,
    *,
    x: str = "bpp",
    y: str | None = None,
    ax: Axes | None = None,
    log: bool = True,
    ceiling: bool = True,
    intervals: bool | None = None,
) -> Axes:
    """A line for each curve over the rate, logarithmic or from 0; `y` by default the points' accuracy.

    Solid points are measured through real bytes, with seeds as a band from worst to best. Hollow points with a trail
    are runs that are still training or not evaluated, by their validation. Thin bars are 95 % intervals over images, by
    default for up to four curves. The legend has the SNR of each curve where one was trained or searched for accuracy,
    and the seconds that a search takes.
    """
    y = y or points.accuracy
    curves = [curve for curve in points.curves if any(place_of(point.values, x, y) for point in curve.points)]
    many = len(curves) > _MOST_INSIDE
    ax = ax or new_axes(aspect=0.8 + 0.035 * len(curves) if many else 0.75)
    if not curves:
        return note(ax, f"no point has {x} and {y} yet")
    for curve, look in zip(curves, _looks(curves), strict=True):
        _plot_curve(ax, curve, look, x, y, not many if intervals is None else intervals)
    if ceiling:
        _plot_ceiling(ax, points, y)
    if log:
        ax.set_xscale("log")
        _ticks(ax)
    else:
        ax.set_xlim(left=0)
    ax.set(xlabel=rate_name(x), ylabel=axis_name(y))
    hollow = any(not point.solid and place_of(point.values, x, y) for curve in curves for point in curve.points)
    title = "mean SNR of the features; seconds to encode with search" if points.shows_snr else None
    _legend(ax, {curve.name: _told(curve, points) for curve in curves}, hollow, title)
    return ax


def rate_name(x: str) -> str:
    """Axis label."""
    return _X_NAMES.get(x, x)


def axis_name(y: str) -> str:
    """Axis label: `snr_db.p3` is `SNR p3 (dB)`."""
    group, _, level = y.partition(".")
    return _Y_NAMES.get(y) or (f"SNR {level} (dB)" if group == "snr_db" else y)


def _looks(curves: Sequence[Curve]) -> list[CurveStyle]:
    """That of the codec; a further curve of a codec has one by its own name."""
    looks: list[CurveStyle] = []
    for curve in curves:
        look = codec_look(curve.codec)
        number = 0
        while any((look.color, look.dashes) == (other.color, other.dashes) for other in looks) and number < 20:
            number += 1
            look = replace(codec_look(f"{number} {curve.name}"), dashes=look.dashes)
        looks.append(look)
    return looks


def place_of(values: Values, x: str, y: str) -> tuple[float, float] | None:
    """Coordinates of a point; without real bytes, the estimate is used as the rate."""
    rate = values.get(x, values.get("bpp_estimated") if x == "bpp" else None)
    if rate is None or y not in values or rate <= 0:
        return None
    return rate, _scale(y) * values[y]


def _scale(y: str) -> float:
    return 100.0 if y in PERCENT else 1.0


def _plot_curve(ax: Axes, curve: Curve, look: CurveStyle, x: str, y: str, intervals: bool) -> None:
    steps = curve.steps(x, y)
    rates = [mean_of(step, x) for step in steps]
    means = [_scale(y) * mean_of(step, y) for step in steps]
    (line,) = ax.plot(rates, means, linestyle=look.dashes, color=look.color, marker=look.marker, label=curve.name)
    if steps and steps[0][0].status == ANCHOR:  # behind and smaller than what was trained
        line.set(markersize=3.0, linewidth=1.0, zorder=1.9)
    if not steps:  # for the legend
        line.set(linestyle="none", markerfacecolor=ax.get_facecolor())
    if any(len(step) > 1 for step in steps):
        lows = [_scale(y) * min(point.values[y] for point in step) for step in steps]
        highs = [_scale(y) * max(point.values[y] for point in step) for step in steps]
        ax.fill_between(rates, lows, highs, color=look.color, alpha=0.25, linewidth=0)
        ax.vlines(rates, lows, highs, color=look.color, linewidth=2.5, alpha=0.4)
    if intervals:
        for step, rate, mean in zip(steps, rates, means, strict=True):
            _plot_interval(ax, step, rate, mean, look, y)
    for point in curve.points:
        if not point.solid and (place := place_of(point.values, x, y)):
            trail = [at for values in point.trail[-_TRAIL:] if (at := place_of(values, x, y))]
            ax.plot(*zip(*trail, place, strict=True), color=look.color, linewidth=0.6, alpha=0.7)
            ax.plot(*place, color=look.color, marker=look.marker, markerfacecolor=ax.get_facecolor(), zorder=3)


def _plot_interval(ax: Axes, step: Sequence[Point], rate: float, mean: float, look: CurveStyle, y: str) -> None:
    """The mean interval of several seeds, whose intervals are about equally wide."""
    bounds = [point.intervals[y] for point in step if y in point.intervals]
    if bounds:
        low, high = (_scale(y) * sum(pair[end] for pair in bounds) / len(bounds) for end in (0, 1))
        ax.vlines(rate, min(low, mean), max(high, mean), color=look.color, linewidth=0.6, alpha=0.8)


def _plot_ceiling(ax: Axes, points: RdPoints, y: str) -> None:
    ceiling = points.ceiling_of(y)
    if ceiling is None:
        return
    ink = ink_color()
    value = _scale(y) * ceiling
    ax.axhline(value, color=ink, linewidth=0.8, linestyle=":")
    ax.annotate(
        f"uncompressed {value:.3g}",
        (0.005, value),
        xycoords=("axes fraction", "data"),
        annotation_clip=True,  # gone with its line when the axes are zoomed
        xytext=(3, 2),
        textcoords="offset points",
        fontsize=6.5,
        color=ink,
    )


class _RateLocator(Locator):
    """Ticks at 1, 2 and 5 of each decade; only at 1 for many decades, and even ones where there is less than one."""

    def __call__(self) -> Sequence[float]:
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        ratio = vmax / vmin
        if ratio < _ONE_DECADE:
            return MaxNLocator(5).tick_values(vmin, vmax)
        return LogLocator(subs=(1.0, 2.0, 5.0) if ratio < _MANY_DECADES else (1.0,)).tick_values(vmin, vmax)


def _ticks(ax: Axes) -> None:
    """As plain numbers."""
    ax.xaxis.set_major_locator(_RateLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _told(curve: Curve, points: RdPoints) -> str:
    """A curve's name with what its line does not say: range of SNR, time to encode."""
    parts = [curve.name]
    measured = [point.values for point in curve.points if point.solid]
    if points.shows_snr and (snr := [values[MEAN_SNR] for values in measured if MEAN_SNR in values]):
        parts.append(f"{min(snr):.0f} to {max(snr):.0f} dB" if len(snr) > 1 else f"{snr[0]:.1f} dB")
    if curve.searched and (seconds := [values["encode_seconds"] for values in measured if "encode_seconds" in values]):
        parts.append(f"{sum(seconds) / len(seconds):.2g} s")
    return ", ".join(parts)


def _legend(ax: Axes, told: Mapping[str, str], hollow: bool, title: str | None) -> None:
    handles, labels = ax.get_legend_handles_labels()
    labels = [told.get(label, label) for label in labels]
    if hollow:
        ink = ink_color()
        (sign,) = ax.plot([], [], marker="o", markerfacecolor="none", color=ink, linestyle="none")
        handles, labels = [*handles, sign], [*labels, "by validation"]
    if len(labels) <= _MOST_INSIDE:
        ax.legend(handles, labels, loc="lower right", handlelength=2.8, title=title, title_fontsize=_TITLE_POINTS)
    else:
        _legend_below(ax, handles, labels, title)


def _legend_below(ax: Axes, handles: Sequence[Artist], labels: Sequence[str], title: str | None) -> None:
    """In two columns, in smaller letters where long names would not fit into the figure."""
    size = float(rcParams["legend.fontsize"])
    for _ in range(2):
        legend = ax.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=below(ax),
            ncols=2,
            handlelength=2.2,
            columnspacing=0.8,
            fontsize=size,
            title=title,
            title_fontsize=_TITLE_POINTS,
        )
        size *= min(1.0, _WIDEST * figure_of(ax).bbox.width / legend.get_window_extent().width)
