"""What a figure has to tell at a place: points of its lines, cells of its maps, its boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

_MOST_SPOTS = 400  # of the lines of a figure
_PHOTO = "gray"  # color map of a photo below a map


@dataclass(frozen=True)
class Spot:
    """A place on a figure, and what somebody who points at it wants to know."""

    x: float  # in the units of the axes
    y: float
    words: str
    key: str = ""  # of what is chosen by a click; empty: nothing
    group: str = ""  # a curve
    axes: int = 0  # number in the figure


def spots_of_lines(figure: Figure, keys: Mapping[str, str]) -> list[Spot]:
    """Points of all lines with a label, thinned out evenly where there are many; `keys` by label."""
    lines = [(number, line) for number, ax in enumerate(figure.axes) for line in _named_lines(ax)]
    each = max(2, _MOST_SPOTS // (len(lines) or 1))
    found = [spot for number, line in lines for spot in _line_spots(number, line, each)]
    return [replace(spot, key=keys.get(spot.group, "")) for spot in found]


def value_at(ax: Axes, x: float, y: float) -> str:
    """What is told of a place in data units: the smallest box around it, else the cell of the uppermost map."""
    boxes = [patch for patch in _named_boxes(ax) if _inside(patch, x, y)]
    if boxes:
        return str(min(boxes, key=lambda box: abs(box.get_width() * box.get_height())).get_label())
    maps = _maps(ax)
    return _cell(maps[-1], x, y) if maps else ""


def asked_axes(figure: Figure) -> list[bool]:
    """For each axes, whether `value_at` knows something of places in them."""
    return [bool(_maps(ax)) or any(True for _ in _named_boxes(ax)) for ax in figure.axes]


def axes_at(figure: Figure, x: float, y: float) -> Axes | None:
    """The axes at a place in pixels of the figure."""
    return next((ax for ax in figure.axes if ax.bbox.contains(x, y)), None)


def _named_lines(ax: Axes) -> Iterator[Line2D]:
    for line in ax.lines:
        if _named(line) and line.get_transform() == ax.transData and np.size(line.get_xdata()):
            yield line


def _named(artist: Artist) -> bool:
    """Matplotlib's own names begin with an underscore."""
    return str(artist.get_label() or "_")[0] != "_"


def _line_spots(number: int, line: Line2D, most: int) -> list[Spot]:
    ax, name = line.axes, str(line.get_label())
    assert ax is not None
    xs, ys = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
    kept = np.unique(np.linspace(0, len(xs) - 1, min(most, len(xs))).round().astype(int))
    labels = ax.get_xlabel() or "x", ax.get_ylabel() or "y"
    return [
        Spot(x, y, f"{name}\n{labels[0]}  {x:,.6g}\n{labels[1]}  {y:.4g}", group=name, axes=number)
        for x, y in zip(xs[kept].tolist(), ys[kept].tolist(), strict=True)
        if np.isfinite((x, y)).all()
    ]


def _named_boxes(ax: Axes) -> Iterator[Rectangle]:
    for patch in ax.patches:
        if isinstance(patch, Rectangle) and _named(patch):
            yield patch


def _inside(box: Rectangle, x: float, y: float) -> bool:
    return bool(box.get_bbox().contains(x, y))


def _maps(ax: Axes) -> list[AxesImage]:
    return [image for image in ax.images if _values(image).ndim == len("yx") and image.cmap.name != _PHOTO]


def _values(shown: AxesImage) -> NDArray[np.float64]:
    """NaN where nothing is shown."""
    values: Any = shown.get_array()
    return np.asarray(values.astype(float).filled(np.nan), np.float64)


def _cell(shown: AxesImage, x: float, y: float) -> str:
    left, right, bottom, top = shown.get_extent()
    values = _values(shown)
    row = int(np.floor((y - top) / (bottom - top) * values.shape[0]))
    column = int(np.floor((x - left) / (right - left) * values.shape[1]))
    if not (0 <= row < values.shape[0] and 0 <= column < values.shape[1]) or np.isnan(values[row, column]):
        return ""
    named = _unit(shown)
    return f"row {row}, column {column}\n{values[row, column]:.4g}{' ' if named else ''}{named}"


def _unit(shown: AxesImage) -> str:
    """The label of the color bar, which several maps may share."""
    figure = shown.get_figure(root=True)
    assert figure is not None
    for ax in figure.axes:
        for other in ax.images:
            same = other.cmap.name == shown.cmap.name and other.get_clim() == shown.get_clim()
            if same and other.colorbar is not None:
                bar = other.colorbar.ax
                return str(bar.get_xlabel() or bar.get_ylabel()).partition(",")[0]
    return ""
