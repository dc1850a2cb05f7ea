"""Detections over a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fpnkit.api.drawing import Drawing
from fpnkit.api.features import Objects
from fpnkit.api.images import ImageLike, to_rgb
from fpnkit.plots.maps import Photo
from fpnkit.plots.maps import plot_boxes as plot
from fpnkit.plots.style import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = 5.0


def plot_boxes(image: ImageLike, found: Objects, *, score: float = 0.5, ax: Axes | None = None) -> Drawing:
    """The picture with the boxes, names and scores of what has at least this score."""
    pixels = to_rgb(image).permute(1, 2, 0).numpy()
    table = found.above(score).frame().rename(columns={"name": "category"})
    size = pixels.shape[0], pixels.shape[1]
    return Drawing(plot(Photo(0, 0, pixels, size), table, table, ax=ax or new_axes(_INCHES, size[0] / size[1])))
