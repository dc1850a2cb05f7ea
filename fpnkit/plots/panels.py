"""Several axes in one figure, one per level or statistic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation, Transform

from fpnkit.plots.style import COLUMN_INCHES


def new_panels(
    count: int, columns: int = 2, aspect: float = 0.8, width_inches: float = COLUMN_INCHES, title_inches: float = 0.0
) -> list[Axes]:
    """`count` axes of one figure, row by row; `aspect` is the height of one, without its title, over its width."""
    columns = min(columns, count)
    rows = -(-count // columns)
    height = rows * (width_inches / columns * aspect + title_inches)
    figure = Figure(figsize=(width_inches, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = [ax for row in grid for ax in row]
    for unused in axes[count:]:
        unused.remove()
    return axes[:count]


def figure_of(ax: Axes) -> Figure:
    """The figure that the axes belong to."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def levels_of(table: pd.DataFrame) -> list[str]:
    """Names in the order in which they first occur."""
    return [str(name) for name in table["level"].unique()]


def by_level(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each level and its rows."""
    for level in levels_of(table):
        yield level, table[table["level"] == level]


def note(ax: Axes, text: str) -> Axes:
    """Write into empty axes why there is nothing to show."""
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, fontsize=7, wrap=True)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    return ax


def percent_ticks(ax: Axes, axis: str = "y", decimals: int | None = 0) -> None:
    """Shares as percentages."""
    getattr(ax, f"{axis}axis").set_major_formatter(PercentFormatter(1.0, decimals=decimals))


def wide_scale(ax: Axes, axis: str, values: Iterable[float]) -> None:
    """A log axis with plain numbers if positive values differ a lot; otherwise linear."""
    positive = [value for value in values if value > 0]
    if not positive or max(positive) < _MUCH * min(positive):
        return
    getattr(ax, f"set_{axis}scale")("log")
    ticks: Axis = getattr(ax, f"{axis}axis")
    ticks.set_minor_locator(LogLocator(subs=(2, 5)))
    ticks.set_major_formatter("{x:g}")
    ticks.set_minor_formatter("{x:g}")
    ticks.set_tick_params(which="minor", labelsize=matplotlib.rcParams["xtick.labelsize"])


_MUCH = 6.0
_BELOW_INCHES = 0.45


def step_axis(ax: Axes, last: int) -> None:
    """Show all steps from the first, so that a few points are not spread over the whole axis."""
    if last:
        ax.set_xlim(0, last * 1.04)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    ax.set_xlabel("training step")


def below(ax: Axes) -> Transform:
    """Where a legend of these axes alone stands: under the numbers and the label of the x axis, whatever the layout."""
    figure = figure_of(ax)
    return ax.transAxes + ScaledTranslation(0, -_BELOW_INCHES, figure.dpi_scale_trans)


def legend_below(axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend for all axes of a figure, under them."""
    entries: dict[str, Artist] = {
        str(label): handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    if entries:
        figure = figure_of(axes[0])
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)
