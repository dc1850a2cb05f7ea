"""Find, inspect, compare and tidy runs.

from fpnkit.widgets import RunBrowser

browser = RunBrowser()
browser.run.metrics()          # the run that is chosen, for the cells below
"""

from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import RunError
from fpnkit.foundation import slurm, text
from fpnkit.foundation.steps import Tell
from fpnkit.launch.queue import Queued, queued
from fpnkit.runs import layout
from fpnkit.runs.index import RunIndex
from fpnkit.runs.run import Run
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel
from fpnkit.widgets.common.run_list import ANY_STATUS, NO_RUNS, ORDERS, choose, label, prepare_search
from fpnkit.widgets.common.work import Show, raising
from fpnkit.widgets.runs.compare import CompareView
from fpnkit.widgets.runs.details import details_html
from fpnkit.widgets.runs.moves import MovesView
from fpnkit.widgets.runs.notes import NotesView
from fpnkit.widgets.runs.table import RunTable

MOST_SHOWN = 200  # options in a list: a browser needs a second for some thousands, and nobody reads them
_STATUSES = (
    ANY_STATUS,
    "queued",
    "running",
    "finished",
    "stopped",
    "crashed",
    "killed",
    "stale",
    "incomplete",
    "imported",
)
_MOST_QUEUED = 3  # that are named
_TABS = ("Details", "Compare", "Notes", "Archive")  # short: a narrow page cuts long ones


class RunBrowser(Panel):
    """Shows the runs of `base_dir` (default: codecs). A missing or unreadable directory is reported in the panel."""

    def __init__(self, base_dir: Path | str | None = None, *, dark: bool | None = None) -> None:
        self.base_dir = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir)
        super().__init__(f"Runs in {text.printable(layout.short_place(self.base_dir))}", dark=dark)
        self._index = RunIndex(self.base_dir)
        self._reading = self.work("refresh")
        self._read_once = False
        self.runs: list[RunInfo] = []
        self.matches: list[RunInfo] = []
        self._make_filters()
        self.count, self.queue = widgets.HTML(), widgets.HTML(layout={"display": "none"})
        self.choice = widgets.Dropdown(description="Run", style=LABEL, layout=WIDE)
        self._choice = Choices(self, self.choice, "show", self._choose_in_table)
        self.table = RunTable()
        self.on(self.table, "show", self._choose_in_list, "chosen")
        self.on(self.table, "compare", self._mark, "marked")
        self.details = widgets.HTML()
        self.compare, self.notes = CompareView(self, self.choose), NotesView(self)
        self.moves = MovesView(self, self.base_dir, self.refresh)
        self.tabs = widgets.Tab([self.details, self.compare, self.notes, self.moves], titles=_TABS)
        self.on(self.tabs, "show", self.show_chosen, "selected_index")
        self.on(self.compare.others, "compare", self._mark_in_table)
        about = widgets.HBox([self.count, self._reading], layout={"flex_flow": "row wrap", "grid_gap": "0 14px"})
        self.show([*self._filter_rows(), about, self.queue, self.choice, self.table, self.tabs])
        self.refresh()

    @property
    def run(self) -> Run:
        """The selected run; waits while runs are read. Raises RunError if there is none."""
        self._reading.wait()
        if self.choice.value is None:
            raise RunError("no run is chosen")
        return Run(self.choice.value)

    def refresh(self) -> None:
        """Reread the base directory in the background, and keep the selection."""
        self._reading.ask(self._read)

    def _read(self, tell: Tell) -> Show:
        failure: RunError | None = None
        missing, runs = layout.is_usual(self.base_dir) and not self.base_dir.exists(), list[RunInfo]()
        try:
            runs = [] if missing else self._index.read(tell)
        except RunError as error:
            failure = error
        prepare_search(runs)
        waiting = queued(self.base_dir) if slurm.is_here() else []
        return lambda: self._show_runs(runs, waiting, failure)

    def _show_runs(self, runs: list[RunInfo], waiting: list[Queued], failure: RunError | None) -> None:
        self.queue.value = html.paragraph(_of_queue(waiting), pale=True) if waiting else ""
        self.queue.layout.display = None if waiting else "none"
        self.runs, first = runs, not self._read_once
        self._read_once = True
        try:
            self.filter()
        finally:
            self.attempt("show", self.show_chosen)
        if first and self.matches:
            self.choice.value = self.matches[0].path
        raising(failure)()

    def filter(self) -> None:
        """List runs that match search, status and query.

        Raises RunError for a bad query and leaves the list unchanged.
        """
        found = choose(self.runs, self.search.value, self.status.value, self.query.value, self.order.value)
        self.matches = found
        self.table.show(found)
        if self._offer():
            self.show_chosen()
        self.count.value = html.paragraph(self._count(min(len(found), MOST_SHOWN)), pale=True)

    def _order(self) -> None:
        """The order that was chosen last counts, in the table too."""
        self.table.sort = ""
        self.filter()

    def choose(self, run: Path) -> None:
        """Choose one of the runs that are listed."""
        self._offer()
        self.choice.value = run

    def show_chosen(self) -> None:
        """Fill the open tab. Raises RunError if the run is gone or unreadable."""
        path, shown = self.choice.value, self._shown()
        match self.tabs.selected_index:
            case 0:
                self.details.value = html.paragraph(self._invitation(), pale=True)
                if path is not None:
                    self.details.value = details_html(path)
            case 1:
                self.compare.show(path, shown)
            case 2:
                self.notes.show(path)
            case 3:
                self.moves.show(path, self.runs)

    def _shown(self) -> list[RunInfo]:
        """What lists offer: the first matches, and those that are chosen or marked in the table."""
        first, further = self.matches[:MOST_SHOWN], self.matches[MOST_SHOWN:]
        picked = {self.choice.value, *(run.path for run in (self.table.chosen_item, *self.table.marked_items) if run)}
        return [*first, *(run for run in further if run.path in picked)]

    def _offer(self) -> bool:
        """Replace the options of the drop-down and return whether the selection changed."""
        return self._choice.replace([(label(run), run.path) for run in self._shown()])

    def _choose_in_list(self) -> None:
        """The run that was picked in the table."""
        run = self.table.chosen_item
        if run is not None and run.path != self.choice.value:
            self.choose(run.path)

    def _choose_in_table(self) -> None:
        """The run that was picked in the drop-down."""
        self.table.turn_to(next((run for run in self.matches if run.path == self.choice.value), None))
        self.show_chosen()

    def _mark(self) -> None:
        """What is marked in the table is compared."""
        self.compare.mark(self.choice.value, self._shown(), [run.path for run in self.table.marked_items])

    def _mark_in_table(self) -> None:
        self.table.mark([run for run in self.matches if run.path in self.compare.others.value])

    def redraw(self) -> None:
        """Redraw the curves in the other colors."""
        if self.tabs.selected_index == 1:
            self.compare.draw()

    def _make_filters(self) -> None:
        half = {"width": "auto", "flex": "1 1 260px"}
        self.search = widgets.Text(description="Search", placeholder="search in name, note, tags …", style=LABEL)
        self.search.layout = half
        self.status = widgets.Dropdown(options=_STATUSES, description="Status", style=LABEL, layout={"width": "auto"})
        self.order = widgets.Dropdown(options=list(ORDERS), description="Order", style=LABEL, layout={"width": "auto"})
        # Half an expression is none: this one is looked at when it is complete.
        self.query = widgets.Text(description="Query", continuous_update=False, style=LABEL, layout=half)
        self.query.placeholder = "lmbda < 1e-3 and best_loss < 2"
        self.reload = self.button("Refresh", "refresh", self.refresh, tip="Read the directory again")
        for control in (self.search, self.status, self.query):
            self.on(control, "filter", self.filter)
        self.on(self.order, "filter", self._order)

    def _filter_rows(self) -> list[widgets.Widget]:
        wrapped = {"flex_flow": "row wrap"}
        first = widgets.HBox([self.search, self.status, self.order], layout=wrapped)
        return [first, widgets.HBox([self.query, self.reload], layout=wrapped)]

    def _count(self, shown: int) -> str:
        total = f"{len(self.runs):,} {'run' if len(self.runs) == 1 else 'runs'}"
        if not self.runs:
            return "no runs yet"
        if shown < len(self.matches):
            return f"{shown} of {len(self.matches):,} shown, {total} in all; search to see others"
        return total if shown == len(self.runs) else f"{shown} of {total}"

    def _invitation(self) -> str:
        if self.runs:
            return "Choose a run above."
        return NO_RUNS


def _of_queue(waiting: list[Queued]) -> str:
    """One line about jobs without a run directory."""
    named = [text.printable(each.describe) for each in waiting[:_MOST_QUEUED]]
    more = ["…"] if len(waiting) > _MOST_QUEUED else []
    return f"{len(waiting):,} queued: {'; '.join([*named, *more])}"
