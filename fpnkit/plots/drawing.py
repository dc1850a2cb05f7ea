"""Titles and reading instructions that belong to the plot functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, ParamSpec, TypeVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.plots.panels import figure_of

ReportSection = Literal["Bits", "Losses", "Objects", "Single images", "Features", "Sensitivity", "Along the curve"]

P = ParamSpec("P")
Plotted = TypeVar("Plotted", bound=Axes | Figure)


@dataclass(frozen=True)
class Drawing:
    """One figure of a report, ready to be drawn."""

    name: str  # of its files, without suffix
    section: str
    title: str
    reading: str  # one sentence: how to read it
    points: pd.DataFrame  # the table that is kept beside it
    draw: Callable[[], Figure]
    wide: bool = False  # on the page


class Plot(Generic[P, Plotted]):
    """A plot function that carries the texts of its figure; it is called like the function itself."""

    def __init__(
        self, function: Callable[P, Plotted], name: str, section: ReportSection, title: str, reading: str, wide: bool
    ) -> None:
        self.name, self.section, self.title, self.reading, self.wide = name, section, title, reading, wide
        self._function, self._signature = function, inspect.signature(function)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Plotted:
        return self._function(*args, **kwargs)

    def of(self, *args: P.args, **kwargs: P.kwargs) -> Drawing:
        """The figure for these arguments; the first table among them is saved with it."""
        values = self._signature.bind(*args, **kwargs).arguments
        name, title, reading = (text.format(**values) for text in (self.name, self.title, self.reading))
        points = next(value for value in values.values() if isinstance(value, pd.DataFrame))

        def draw() -> Figure:
            plotted = self._function(*args, **kwargs)
            return plotted if isinstance(plotted, Figure) else figure_of(plotted)

        return Drawing(name, self.section, title, reading, points, draw, self.wide)


def figure(
    name: str, section: ReportSection, title: str, reading: str, *, wide: bool = False
) -> Callable[[Callable[P, Plotted]], Plot[P, Plotted]]:
    """Attach texts to a plot function; they may contain its arguments in braces, as in `boxes_{number}`."""
    return lambda function: Plot(function, name, section, title, reading, wide)
