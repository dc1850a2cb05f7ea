"""Rate and accuracy of runs and anchors, during training and after it.

from fpnkit.widgets import RDExplorer

explorer = RDExplorer()
explorer                       # choose runs, anchors, axes; compare; save
explorer.frame                 # the points that are shown, for the cells below; also .points, .run and .figure()
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets
from matplotlib.figure import Figure

from fpnkit.errors import RunError, UserError
from fpnkit.foundation import text
from fpnkit.plots.panels import figure_of
from fpnkit.plots.rd_files import save_rd
from fpnkit.plots.style import style
from fpnkit.ratedist.overview import judge, metrics
from fpnkit.ratedist.points import RdPoints
from fpnkit.ratedist.rows import dataset_line
from fpnkit.ratedist.table import frame
from fpnkit.runs import layout
from fpnkit.runs.run import Run
from fpnkit.widgets.common import html
from fpnkit.widgets.common.background import Background
from fpnkit.widgets.common.panel import WRAPPED, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.run_list import NO_RUNS
from fpnkit.widgets.rd.axes import AxesView
from fpnkit.widgets.rd.choice import ChoiceView
from fpnkit.widgets.rd.points import PointTable
from fpnkit.widgets.rd.reading import PointReader, Reading
from fpnkit.widgets.rd.saving import SaveView
from fpnkit.widgets.rd.tables import ComparisonView, judged_html

if TYPE_CHECKING:
    import pandas as pd

LOOK_SECONDS = 10.0  # between looks at the disk
_MOST_SPOTS = 500  # that one can point at
_BUSY = 0.02  # share of the time spent on looking and drawing, if that takes long
_AT_ONCE_SECONDS = 0.1  # wait this long for reading, so that a few runs appear without flicker


class RDExplorer(Panel):
    """Shows the runs of `base_dir` (default: codecs) with their anchors, and the same text as `python -m fpnkit.rd`.

    Reading and resampling run in the background; `update`, which is polled, shows the results.
    """

    def __init__(
        self,
        base_dir: Path | str | None = None,
        *,
        dark: bool | None = None,
        poll_seconds: float = 0.5,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_dir = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir).absolute()
        super().__init__("Rate and accuracy", dark=dark)
        self._now, self._looked, self._spent = now, float("-inf"), 0.0
        self._reader = PointReader(self.base_dir)
        self._reading = Background[Reading]("read")
        self._read: Reading | None = None
        self._drawn: object = None  # what the figure was drawn from
        self.reload = self.button("Refresh", "refresh", self.refresh, tip="Read runs and anchors again")
        self.choice = ChoiceView(self, self._reader, self.read, self.reload)
        self.axes = AxesView(self, self.show_points)
        self.about, self.table, self.judged = widgets.HTML(), PointTable(), widgets.HTML()
        self.picture = picture()
        self.comparison = ComparisonView(self)
        self.saving = SaveView(self, self._save)
        self.on(self.picture.pointer, "choose", self._choose_in_table, "chosen")
        self.on(self.table, "choose", self._choose_in_figure, "chosen")
        self.table.layout = {"flex": "1 1 420px", "min_width": "0"}
        seen = widgets.HBox([self.picture, self.table], layout={**WRAPPED, "grid_gap": "0 24px"})
        self._shown = [self.table, self.comparison, self.judged, self.saving]
        parts = [self.choice, self.axes, self.about, seen, self.comparison, self.judged, self.saving]
        self.show(parts)
        self._say(f"reading the runs in {text.printable(self.base_dir)} …")
        if not self.attempt("refresh", self.refresh):
            self._say("Nothing is shown yet.")
        if poll_seconds:
            self.poll("update", self.update, poll_seconds)

    @property
    def points(self) -> RdPoints:
        """The points of the figure; waits while they are read. Raises RunError or UserError if there are none."""
        with self._acting:
            if self._reading.wait():
                self._take()
            if self._read is None:
                raise RunError(f"base directory {self.base_dir}: nothing was read, see the panel")
            metrics(self._read.points, self._read.missing)
            return self._read.points

    @property
    def frame(self) -> "pd.DataFrame":
        """Their table, a row per point; see `fpnkit.ratedist.table.frame`."""
        return frame(self.points)

    @property
    def run(self) -> Run:
        """The run whose point is chosen in the figure or the table. Raises RunError if there is none."""
        row = self.table.chosen_item
        if row is None or row.point.path is None:
            raise RunError("no run is chosen: click on its point in the figure, or on its name in the table")
        return Run(row.point.path)

    def figure(self) -> Figure:
        """The figure that is shown, to save or change."""
        points = self.points
        with style(dark=self.dark.value):
            return figure_of(self.axes.plot(points))

    def refresh(self) -> None:
        """Reread everything and keep the selection. Raises RunError if there is no base directory."""
        self._look()
        self.choice.list_again()
        self.read()

    def read(self) -> None:
        """Read the selection in the background; a few runs appear immediately."""
        self._ask()
        self._reading.wait(_AT_ONCE_SECONDS)
        self._show_read()

    def update(self) -> None:
        """Show new results, and occasionally look for changes on disk."""
        self._show_read()
        self.attempt("compare", self.comparison.update)
        if self._now() - self._looked >= max(LOOK_SECONDS, self._spent / _BUSY):
            self.attempt("refresh", self._look_again)

    def finish(self) -> None:
        """Wait for everything being read or computed and show it; for cells and tests."""
        with self._acting:
            self._reading.wait()
            self._show_read()
            self.comparison.finish()

    def show_points(self) -> None:
        """Draw what was read, with its text."""
        if self._read is None:
            return
        points, began = self._read.points, time.perf_counter()
        try:
            self.axes.offer(points, metrics(points, self._read.missing))
        except UserError as nothing:
            self._say(NO_RUNS if not self._reader.runs else str(nothing))
            return
        x, y = self.axes.x.value, self.axes.y.value
        self.about.value = html.paragraph(dataset_line(points, y), pale=True) if points.dataset else ""
        self._draw(points)
        self.judged.value = judged_html(judge(points, x, y, self._read.missing), points, self.base_dir)
        self.comparison.show(points, x, y)
        self._display(True)
        self._spent += time.perf_counter() - began

    def redraw(self) -> None:
        """Draw the figure again, in the other colors."""
        self.show_points()

    def _look(self) -> bool:
        """Whether anything changed on disk."""
        self._looked, began = self._now(), time.perf_counter()
        try:
            return self._reader.look()
        finally:
            self._spent = time.perf_counter() - began

    def _look_again(self) -> None:
        changed = self._look()
        if self.choice.list_again() or changed or "read" in self.failures:
            self._ask()

    def _ask(self) -> None:
        wanted = self.choice.wanted
        self._reading.ask(lambda: self._reader.read(wanted))

    def _show_read(self) -> None:
        if self._reading.ready:
            self.attempt("read", self._take)

    def _take(self) -> None:
        """Show what was read. Raises what reading raised; the display then stays."""
        self._read = self._reading.result()
        self.choice.offer(self._read)
        self.show_points()

    def _draw(self, points: RdPoints) -> None:
        asked = (points, self.axes.state, self.dark.value)
        if asked == self._drawn:
            return
        spots = self.axes.spots(points)[:_MOST_SPOTS]
        self.draw(self.picture, lambda: self.axes.plot(points), self.axes.words(points), spots)
        self.table.show_points(points, self.axes.x.value, self.axes.y.value)
        self._drawn = asked

    def _choose_in_table(self) -> None:
        key = self.picture.pointer.chosen
        self.table.turn_to(next((row for row in self.table.ordered if row.key == key), None))

    def _choose_in_figure(self) -> None:
        self.picture.pointer.chosen = self.table.chosen

    def _save(self, path: Path) -> list[Path]:
        return save_rd(self.points, path, **self.axes.options)

    def _say(self, words: str) -> None:
        """Shown instead of a figure."""
        self._drawn = None
        self.about.value = html.paragraph("\n".join(text.printable(line) for line in words.splitlines()), pale=True)
        self.picture.layout.display = "none"
        self._display(False)

    def _display(self, visible: bool) -> None:
        for widget in self._shown:
            widget.layout.display = None if visible else "none"
