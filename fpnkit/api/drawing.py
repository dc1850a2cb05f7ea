"""A figure that a notebook shows."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.plots.style import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_DPI = 150


def styled(ax: Axes | None) -> AbstractContextManager[None]:
    """The style of fpnkit's figures, but not on axes of somebody else."""
    return style() if ax is None else nullcontext()


class Drawing:
    """Axes with their figure; the last one of a notebook's cell is shown."""

    def __init__(self, ax: Axes) -> None:
        self.ax = ax

    @property
    def figure(self) -> Figure | SubFigure:
        """The matplotlib figure."""
        found = self.ax.figure
        assert found is not None
        return found

    def save(self, path: str | Path) -> None:
        """As PNG, PDF or SVG, by the suffix."""
        self._whole().savefig(path, dpi=_DPI)

    def _whole(self) -> Figure:
        found = self.ax.get_figure(root=True)
        assert found is not None
        return found

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self._whole().savefig(buffer, format="png", dpi=_DPI)
        return buffer.getvalue()

    def __repr__(self) -> str:
        width, height = self._whole().get_size_inches()
        label = self.ax.get_ylabel() or "picture"
        return f"<Drawing of {width:g} x {height:g} inches: {label}>"
