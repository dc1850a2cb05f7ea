"""A figure in a panel that tells its values to whoever points at it, and can be zoomed.

The picture itself is plain HTML, so that it is there in any export and without scripts; `Pointer` lies over it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import BboxBase

from fpnkit.plots.style import DRAWING
from fpnkit.widgets.common import html
from fpnkit.widgets.common.pointing import Spot, asked_axes, axes_at, spots_of_lines, value_at

_SHOWN_DPI = 100
_SHARPNESS = 2  # pixels of the picture for one on the screen
_HERE = Path(__file__).parent
_GRID = {"display": "grid", "grid_template_columns": "minmax(0, 1fr)", "margin": "2px"}  # as narrow as the panel
_SAME_CELL = {"grid_area": "1 / 1", "margin": "0"}  # over each other

Limits = tuple[tuple[float, float], tuple[float, float]]  # of x and y


class Pointer(anywidget.AnyWidget):
    """What lies over a picture. Places are shares of its width and height, from the left and from the bottom."""

    _esm = _HERE / "pointer.js"
    _css = _HERE / "pointer.css"
    width = traitlets.Int().tag(sync=True)  # screen pixels
    aspect = traitlets.Float(1.0).tag(sync=True)  # width by height
    spots: Any = traitlets.List().tag(sync=True)  # [left, bottom, words, key, group]
    areas: Any = traitlets.List().tag(sync=True)  # of axes, to zoom into: [left, bottom, right, top]
    asked: Any = traitlets.List(traitlets.Bool()).tag(sync=True)  # whether an area has more to tell than its spots
    zoomed = traitlets.Bool().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)  # the key of a spot
    drawn = traitlets.Int().tag(sync=True)  # counts up when everything else is in place


class Picture(widgets.VBox):
    """A place for a figure, hidden while it is empty. Not a widgets.Image, which has no text for screen readers.

    `pointer.chosen` is the key of the spot that a person chose, to be observed and set.
    """

    def __init__(self) -> None:
        self.value = b""  # PNG
        self.words = ""
        self._drawing = DRAWING
        self._figure: Figure | None = None
        self._spots: Sequence[Spot] = ()
        self._zooms: list[list[Limits]] = []  # of all axes; the first is the whole
        self._image = widgets.HTML(layout=dict(_SAME_CELL))
        self.pointer = Pointer(layout=dict(_SAME_CELL))
        self.pointer.on_msg(lambda _, message, __: threading.Thread(target=self.told, args=(message,)).start())
        above = widgets.Box([self._image, self.pointer], layout=dict(_GRID))
        super().__init__([above], layout={"display": "none"})

    def show(
        self,
        figure: Figure,
        words: str,
        spots: Sequence[Spot] | None = None,
        *,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """Replace the picture; a zoom stays if the axes are the same ones.

        `words` is the alternative text; `spots` by default those of the lines with a label, with `keys` by label.
        """
        with self._drawing:
            before, self._figure, self.words = self._figure, figure, words
            self._spots = spots_of_lines(figure, keys or {}) if spots is None else spots
            whole = _limits(figure)
            if before is not None and self._zooms and _kinds(before) == _kinds(figure):
                self._zooms[0] = whole
                _set_limits(figure, self._zooms[-1] if len(self._zooms) > 1 else whole)
            else:
                self._zooms = [whole]
            self._render()
        self.layout.display = None

    def zoom(self, axes: int, left: float, bottom: float, right: float, top: float) -> None:
        """Show a part of these axes, in shares of them; others that show the same values go along."""
        with self._drawing:
            if self._figure is None or not right > left or not top > bottom:
                return
            ax = self._figure.axes[axes]
            if ax.get_aspect() != "auto":  # the shape of an image stays
                left, right, bottom, top = _as_wide_as_high(left, right, bottom, top)
            to_data = ax.transAxes + ax.transData.inverted()
            (x0, y0), (x1, y1) = to_data.transform([(left, bottom), (right, top)]).tolist()
            x, y = ax.get_xlim(), ax.get_ylim()
            for other in self._figure.axes:
                same = other.get_xlim() == x and _kind(other)[:2] == _kind(ax)[:2]
                if same and other.get_ylim() == y:
                    other.set_ylim(y0, y1)
                if same:
                    other.set_xlim(x0, x1)
            self._zooms.append(_limits(self._figure))
            self._render()

    def zoom_back(self, *, whole: bool = False) -> None:
        """Show what was shown before the last zoom, or before the first."""
        with self._drawing:
            if self._figure is not None and len(self._zooms) > 1:
                self._zooms = self._zooms[: 1 if whole else -1]
                _set_limits(self._figure, self._zooms[-1])
                self._render()

    def told(self, message: Any) -> None:
        """A message of the page: to zoom, or to tell what is at a place."""
        match message:
            case {"zoom": [int(axes), left, bottom, right, top]}:
                self.zoom(axes, float(left), float(bottom), float(right), float(top))
            case {"back": whole}:
                self.zoom_back(whole=bool(whole))
            case {"ask": [left, bottom]}:
                self.pointer.send({"at": [left, bottom], "said": self.value_at(float(left), float(bottom))})

    def value_at(self, left: float, bottom: float) -> str:
        """What the figure shows at a place, in shares of it; empty if nothing is known of it."""
        with self._drawing:
            if self._figure is None:
                return ""
            x, y = left * self._figure.bbox.width, bottom * self._figure.bbox.height
            ax = axes_at(self._figure, x, y)
            return "" if ax is None else value_at(ax, *ax.transData.inverted().transform((x, y)).tolist())

    def _render(self) -> None:
        figure, buffer = self._figure, io.BytesIO()
        assert figure is not None
        figure.savefig(buffer, format="png", dpi=_SHOWN_DPI * _SHARPNESS, facecolor=figure.get_facecolor())
        self.value, width = buffer.getvalue(), round(figure.get_figwidth() * _SHOWN_DPI)
        self._image.value = html.image(self.value, self.words, width)
        with self.pointer.hold_sync():
            self.pointer.width, self.pointer.aspect = width, figure.get_figwidth() / figure.get_figheight()
            self.pointer.spots = _shares(figure, self._spots)
            self.pointer.areas = _areas(figure)
            self.pointer.asked = asked_axes(figure)
            self.pointer.zoomed = len(self._zooms) > 1
            self.pointer.drawn += 1


def picture() -> Picture:
    """See `Panel.draw`."""
    return Picture()


def figure_from(plot: Callable[[], Axes | Figure]) -> Figure:
    """The figure that a plot function made or drew on."""
    drawn = plot()
    figure = drawn if isinstance(drawn, Figure) else drawn.figure
    assert isinstance(figure, Figure)
    return figure


def _limits(figure: Figure) -> list[Limits]:
    return [(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes]


def _set_limits(figure: Figure, limits: Sequence[Limits]) -> None:
    for ax, (x, y) in zip(figure.axes, limits, strict=True):
        ax.set_xlim(*x)
        ax.set_ylim(*y)


def _as_wide_as_high(left: float, right: float, bottom: float, top: float) -> tuple[float, float, float, float]:
    """A square around the same middle, moved to lie within 0 and 1."""
    side = min(1.0, max(right - left, top - bottom))
    x, y = (min(max((low + high - side) / 2, 0.0), 1.0 - side) for low, high in ((left, right), (bottom, top)))
    return x, x + side, y, y + side


def _kind(ax: Axes) -> tuple[object, ...]:
    """What the axes show, apart from the values: images only fit images of the same extent."""
    extents = [tuple(image.get_extent()) for image in ax.images]
    return ax.get_xlabel(), ax.get_xscale(), ax.get_ylabel(), ax.get_yscale(), extents[:1]


def _kinds(figure: Figure) -> list[tuple[object, ...]]:
    return [_kind(ax) for ax in figure.axes]


def _areas(figure: Figure) -> list[list[float]]:
    """Left, bottom, right and top of all axes as shares of the figure; empty for those that cannot be zoomed."""
    bars = [image.colorbar.ax for ax in figure.axes for image in ax.images if image.colorbar is not None]
    return [_area(ax.bbox, figure.bbox) if ax.axison and ax not in bars else [] for ax in figure.axes]


def _area(box: BboxBase, whole: BboxBase) -> list[float]:
    shares = box.x0 / whole.width, box.y0 / whole.height, box.x1 / whole.width, box.y1 / whole.height
    return [round(float(share), 4) for share in shares]


def _shares(figure: Figure, spots: Sequence[Spot]) -> list[list[object]]:
    """What a page is told of the spots that lie inside their axes; the figure was drawn before."""
    shown: list[list[object]] = []
    for number, ax in enumerate(figure.axes):
        own = [spot for spot in spots if spot.axes == number]
        places = ax.transData.transform([(spot.x, spot.y) for spot in own]) if own else ()
        inside = ax.bbox.padded(1)
        for spot, (x, y) in zip(own, places, strict=True):
            if inside.contains(x, y):
                place = round(float(x / figure.bbox.width), 4), round(float(y / figure.bbox.height), 4)
                shown.append([*place, spot.words, spot.key, spot.group])
    return shown
