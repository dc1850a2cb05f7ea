"""Which runs, anchors and images an R-D figure shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from fpnkit.foundation import text
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel
from fpnkit.widgets.common.run_list import ANY_STATUS, choose, label
from fpnkit.widgets.rd.reading import PointReader, Reading, Selection

MOST_SHOWN = 200  # runs in the list
_ALL, _NONE, _SWEEPS, _THESE = "all", "none", "of these sweeps", "these"
_MOST = "what most runs were evaluated on", ""  # ipywidgets takes None for no choice at all
_ORDER = "newest first"
_ROWS = 6


class ChoiceView(widgets.VBox):
    """`wanted` is the selection. A list is visible only while something is chosen in it."""

    def __init__(self, panel: Panel, reader: PointReader, changed: Callable[[], None], reload: widgets.Button) -> None:
        self._reader, self._changed = reader, changed
        self._drawn: set[Path] = set()
        self._make_controls(panel)
        self._anchors_known: tuple[str, ...] = ()
        row = {"flex_flow": "row wrap"}
        super().__init__(
            [
                widgets.HBox([self.which, self.which_anchors, self.dataset, reload], layout=row),
                widgets.VBox([self.search, self.sweeps, self.runs, self.hint]),
                self.anchors,
            ]
        )
        self._show_lists()

    @property
    def wanted(self) -> Selection:
        """For `Reader.read`."""
        anchors = {_ALL: None, _NONE: ()}.get(self.which_anchors.value, self.anchors.value)
        return Selection(
            sweeps=self.sweeps.value if self.which.value == _SWEEPS else None,
            runs=self.runs.value if self.which.value == _THESE else None,
            anchors=anchors,
            dataset=self.dataset.value or None,
        )

    def list_again(self) -> bool:
        """Update the choices from disk; return whether part of the selection is gone."""
        before = self.wanted
        self._list_sweeps(otherwise=())
        self._list_runs(otherwise=())
        return self.wanted != before

    def offer(self, read: Reading) -> None:
        """Update the choices after reading; the selection is kept."""
        self._drawn = {point.path for curve in read.points.curves for point in curve.points if point.path is not None}
        most = _MOST if read.common is None else (f"{text.printable(read.common)} (most runs)", _MOST[1])
        self._datasets.replace([most, *((text.printable(name), name) for name in read.datasets)], otherwise="")
        self._anchors_known = read.anchors
        if self.which_anchors.value == _THESE:
            self._list_anchors()

    def _make_controls(self, panel: Panel) -> None:
        narrow, several = {"width": "auto"}, widgets.SelectMultiple
        self.which = widgets.Dropdown(options=[_ALL, _SWEEPS, _THESE], description="Runs", style=LABEL, layout=narrow)
        self.which_anchors = widgets.Dropdown(options=[_ALL, _NONE, _THESE], description="Anchors", style=LABEL)
        self.which_anchors.layout = narrow
        self.dataset = widgets.Dropdown(options=[_MOST], description="Data set", style=LABEL, layout=narrow)
        self.sweeps = several(description="These sweeps", style=LABEL, layout=WIDE, rows=4)
        self.runs = several(description="These runs", style=LABEL, layout=WIDE, rows=_ROWS)
        self.anchors = several(description="These anchors", style=LABEL, layout=WIDE, rows=_ROWS)
        self.search = widgets.Text(description="Search runs", continuous_update=False, style=LABEL, layout=WIDE)
        self.search.placeholder = "search in name, note, tags …, then Enter; matches are marked"
        self.hint = widgets.HTML()
        self._datasets = Choices(panel, self.dataset, "choose a data set", self._changed)
        self._sweeps = Choices(panel, self.sweeps, "choose sweeps", self._changed)
        self._runs = Choices(panel, self.runs, "choose runs", self._changed)
        self._anchors = Choices(panel, self.anchors, "choose anchors", self._changed)
        panel.on(self.which, "choose runs", self._choose_runs)
        panel.on(self.which_anchors, "choose anchors", self._choose_anchors)
        panel.on(self.search, "search", self._search)

    def _choose_runs(self) -> None:
        """Mark what is drawn at first, so that the figure changes only with the marks."""
        self._sweeps.replace([])
        self._runs.replace([])
        self._list_sweeps(otherwise=self._reader.sweeps)
        self._list_runs(otherwise=self._drawn)
        self._show_lists()
        self._changed()

    def _choose_anchors(self) -> None:
        self._anchors.replace([])
        if self.which_anchors.value == _THESE:
            self._list_anchors(otherwise=self._anchors_known)
        self._show_lists()
        self._changed()

    def _search(self) -> None:
        if self._list_runs(otherwise=None):
            self._changed()

    def _list_sweeps(self, otherwise: Sequence[str]) -> None:
        if self.which.value == _SWEEPS:
            options = [(text.printable(sweep), sweep) for sweep in self._reader.sweeps]
            self._sweeps.replace(options, otherwise=otherwise)
            self.hint.value = "" if options else html.paragraph("There is no sweep in this directory.", pale=True)

    def _list_runs(self, otherwise: Any) -> bool:
        """Return whether the marks changed; `otherwise` is marked if none is left, None for all."""
        if self.which.value != _THESE:
            return False
        found = choose(self._reader.runs, self.search.value, ANY_STATUS, "", _ORDER)
        shown = [run for run in found if run.kind == "fpn_compression"][:MOST_SHOWN]
        marked = [run.path for run in shown if otherwise is None or run.path in otherwise]
        changed = self._runs.replace([(label(run), run.path) for run in shown], otherwise=marked)
        few = len(shown) == len(self._reader.runs)
        said = "" if few else f"{len(shown)} of {len(self._reader.runs):,} runs listed; search to see others. "
        self.hint.value = html.paragraph(said + "Hold Ctrl or Shift to mark several.", pale=True)
        return changed

    def _list_anchors(self, otherwise: Sequence[str] = ()) -> None:
        self._anchors.replace([(text.printable(name), name) for name in self._anchors_known], otherwise=otherwise)

    def _show_lists(self) -> None:
        shown = {
            self.sweeps: self.which.value == _SWEEPS,
            self.runs: self.which.value == _THESE,
            self.search: self.which.value == _THESE,
            self.hint: self.which.value != _ALL,
            self.anchors: self.which_anchors.value == _THESE,
        }
        for widget, visible in shown.items():
            widget.layout.display = None if visible else "none"
