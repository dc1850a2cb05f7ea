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
from fpnkit.foundation.steps import Step, Tell
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
from fpnkit.widgets.common.panel import WRAPPED, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.run_list import NO_RUNS, prepare_search
from fpnkit.widgets.common.work import Show, raising
from fpnkit.widgets.rd.axes import AxesView
from fpnkit.widgets.rd.choice import ChoiceView
from fpnkit.widgets.rd.points import PointTable, arranged
from fpnkit.widgets.rd.reading import PointReader, Reading
from fpnkit.widgets.rd.saving import SaveView
from fpnkit.widgets.rd.tables import ComparisonView, judged_html

if TYPE_CHECKING:
    import pandas as pd

LOOK_SECONDS = 10.0  # between looks at the disk
_MOST_SPOTS = 500  # that one can point at
_BUSY = 0.02  # share of the time spent on looking and drawing, if that takes long


class RDExplorer(Panel):
    """Shows the runs of `base_dir` (default: codecs) with their anchors, and the same text as `python -m fpnkit.rd`.

    Reading, drawing and resampling run in the background; `update` is polled and looks for changes on disk.
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
        self._reading, self._drawing = self.work("read"), self.work("draw")
        self._unlooked = self._unread = True
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
        self._reading.replaces = [self.about, self.picture, self.table, self.judged]
        seen = widgets.HBox([self.picture, self.table], layout={**WRAPPED, "grid_gap": "0 24px"})
        self._shown = [self.table, self.comparison, self.judged, self.saving]
        working = widgets.HBox([self._reading, self._drawing], layout=WRAPPED)
        parts = [self.choice, self.axes, working, self.about, seen, self.comparison, self.judged, self.saving]
        self.show(parts)
        self._display(False)
        self.refresh()
        if poll_seconds:
            self.poll("update", self.update, poll_seconds)

    @property
    def points(self) -> RdPoints:
        """The points of the figure; waits while they are read. Raises RunError or UserError if there are none."""
        self._reading.wait()
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
        for work in (self._reading, self._drawing):
            work.wait()
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
        """Reread everything in the background, and keep the selection."""
        self._unlooked = True
        self.read()

    def read(self) -> None:
        """Read the selection, in the background."""
        self._unread = True
        self._reading.ask(self._catch_up)

    def update(self) -> None:
        """Occasionally look for changes on disk, in the background."""
        if self._now() - self._looked >= max(LOOK_SECONDS, self._spent / _BUSY) and not self._reading.busy:
            self._unlooked = True
            self._reading.ask(self._catch_up, quiet=True)

    def show_points(self) -> None:
        """Draw what was read, with its text, in the background."""
        if self._read is None:
            return
        read = self._read
        try:
            self.axes.offer(read.points, metrics(read.points, read.missing))
        except UserError as nothing:
            self._say(NO_RUNS if not self._reader.runs else str(nothing))
            return
        state = self.axes.state, self.dark.value
        self.comparison.show(read.points, self.axes.x.value, self.axes.y.value)
        self._drawing.ask(lambda tell: self._draw(read, state, tell))

    def redraw(self) -> None:
        """Draw the figure again, in the other colors."""
        self.show_points()

    def _catch_up(self, tell: Tell) -> Show | None:
        """Look at the disk and read, if there is a reason to."""
        if self._unlooked and not self._look(tell):
            return None if self._read else lambda: self._say("Nothing is shown yet.")
        if not self._unread:
            return None
        with self.acting:
            wanted = self.choice.wanted
        read = self._reader.read(wanted, tell)
        return lambda: self._take(read)

    def _look(self, tell: Tell) -> bool:
        """Look at the disk; return whether that succeeded."""
        self._looked, began, failure, changed = self._now(), time.perf_counter(), None, False
        try:
            changed = self._reader.look(tell)
            prepare_search(self._reader.runs)
        except RunError as error:
            failure = error
        with self.acting:
            self._unlooked = False
            if self.attempt("refresh", raising(failure)) and (self.choice.list_again() or changed):
                self._unread = True
        self._spent = time.perf_counter() - began
        return failure is None

    def _take(self, read: Reading) -> None:
        self._read, self._unread = read, False
        self.choice.offer(read)
        self.show_points()

    def _draw(self, read: Reading, state: object, tell: Tell) -> Show:
        tell(Step("drawing"))
        points, began = read.points, time.perf_counter()
        x, y = self.axes.x.value, self.axes.y.value
        asked = (points, state)
        if asked != self._drawn:
            spots = self.axes.spots(points)[:_MOST_SPOTS]
            self.draw(self.picture, lambda: self.axes.plot(points), self.axes.words(points), spots)
            self._drawn = asked
        about = html.paragraph(dataset_line(points, y), pale=True) if points.dataset else ""
        judged = judged_html(judge(points, x, y, read.missing), points, self.base_dir)
        rows = arranged(points, x, y)

        def show() -> None:
            self.about.value, self.judged.value = about, judged
            self.table.show(*rows)
            self._display(True)

        self._spent += time.perf_counter() - began
        return show

    def _choose_in_table(self) -> None:
        key = self.picture.pointer.chosen
        self.table.turn_to(next((row for row in self.table.ordered if row.key == key), None))

    def _choose_in_figure(self) -> None:
        self.picture.pointer.chosen = self.table.chosen

    def _save(self, path: Path) -> Callable[[], list[Path]]:
        options = self.axes.options
        return lambda: save_rd(self.points, path, **options)

    def _say(self, words: str) -> None:
        """Shown instead of a figure."""
        self._drawn = None
        self.about.value = html.paragraph("\n".join(text.printable(line) for line in words.splitlines()), pale=True)
        self.picture.layout.display = "none"
        self._display(False)

    def _display(self, visible: bool) -> None:
        for widget in self._shown:
            widget.layout.display = None if visible else "none"
