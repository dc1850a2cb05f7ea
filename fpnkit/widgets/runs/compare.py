"""Several runs side by side: curves of one value, and what differs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets
import pandas as pd
from matplotlib.axes import Axes

from fpnkit.foundation import text
from fpnkit.foundation.html import Html, join
from fpnkit.foundation.steps import Step, Tell
from fpnkit.plots.metrics import metric_keys, metric_name, plot_metric
from fpnkit.plots.style import new_axes
from fpnkit.runs.compare import compare_runs
from fpnkit.runs.run import Run
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.run_list import label, short_label
from fpnkit.widgets.common.work import Show

_ROWS = 8  # of the list
_INCHES, _ASPECT = 7.5, 0.55  # of the figure


class CompareView(widgets.VBox):
    """The selected run, whose curve is thick, and those marked in the list; a click on a curve calls `choose`."""

    def __init__(self, panel: Panel, choose: Callable[[Path], None]) -> None:
        self._panel, self._choose = panel, choose
        self._run: Path | None = None
        self._runs: dict[Path, RunInfo] = {}
        self.others = widgets.SelectMultiple(description="Compare with", style=LABEL, layout=WIDE, rows=_ROWS)
        self._others = Choices(panel, self.others, "compare", self.draw)
        self.key = widgets.Dropdown(description="Curve of", style=LABEL, layout={"width": "auto"})
        self._keys = Choices(panel, self.key, "compare", self.draw)
        self.picture = picture()
        panel.on(self.picture.pointer, "show", self._clicked, "chosen")
        self.table = widgets.HTML()
        self._reading = panel.work("compare")
        self._reading.replaces = [self.picture, self.table]
        super().__init__([self.others, self.key, self._reading, self.picture, self.table])

    def show(self, run: Path | None, runs: Sequence[RunInfo]) -> None:
        """Show this run; `runs` are offered for comparison."""
        self._run, self._runs = run, {info.path: info for info in runs}
        self._others.replace([(label(info), info.path) for info in runs])
        self.draw()

    def mark(self, run: Path | None, runs: Sequence[RunInfo], marked: Sequence[Path]) -> None:
        """Like `show`, with these runs selected for comparison."""
        self.show(run, runs)
        self.others.value = tuple(path for path in marked if path in self._runs)

    def draw(self) -> None:
        """Read and show the selected runs, in the background."""
        chosen, marked = {self._run, *self.others.value}, self._run
        runs = [info for path, info in self._runs.items() if path in chosen]  # choosing another keeps the colors
        self._reading.ask(lambda tell: self._read(runs, marked, tell) if runs else self._show_nothing)

    def _read(self, runs: Sequence[RunInfo], marked: Path | None, tell: Tell) -> Show:
        labels = dict(zip(_labels(runs), (info.path for info in runs), strict=True))
        frames: dict[str, pd.DataFrame] = {}
        for number, (name, path) in enumerate(labels.items()):
            tell(Step("reading run", number, len(runs)))
            frames[name] = Run(path).metrics()
        keys = metric_keys(list(frames.values()))
        with self._panel.acting:
            self._keys.replace([(metric_name(key), key) for key in keys], otherwise=keys[0] if keys else None)
            key = self.key.value
        tell(Step("comparing"))
        numbers = _last_values(frames, key) if key else html.paragraph("Nothing measured yet.")
        chosen_first = sorted(runs, key=lambda info: info.path != marked)  # the others are told against it
        differing = _differences(chosen_first) if len(runs) > 1 else []
        tell(Step("drawing"))
        if key:
            self._draw_curves(frames, labels, key, marked)

        def show() -> None:
            self.picture.layout.display = None if key else "none"
            self.table.value = html.bounded(join([numbers, *differing]))

        return show

    def _show_nothing(self) -> None:
        self.picture.layout.display, self.table.value = "none", html.paragraph("Choose a run above.", pale=True)

    def _clicked(self) -> None:
        key, self.picture.pointer.chosen = self.picture.pointer.chosen, ""
        path = next((path for path in self._runs if text.printable(path) == key), None)
        if path is not None:
            self._choose(path)

    def _draw_curves(self, frames: dict[str, pd.DataFrame], paths: dict[str, Path], key: str, run: Path | None) -> None:
        marked = next((label for label, path in paths.items() if path == run), None) if len(paths) > 1 else None
        words = f"Curves of {metric_name(key)} over training steps for {', '.join(frames)}; last values in the table"

        def plot() -> Axes:
            return plot_metric(frames, key, marked=marked, ax=new_axes(_INCHES, _ASPECT))

        by_label = {label: text.printable(path) for label, path in paths.items()}
        self._panel.draw(self.picture, plot, words, keys=by_label)


def _labels(runs: Sequence[RunInfo]) -> list[str]:
    """Short names, or full ones if two would be equal."""
    short = [short_label(info) for info in runs]
    return short if len(set(short)) == len(short) else [text.printable(info.name) for info in runs]


def _last_values(frames: dict[str, pd.DataFrame], key: str) -> Html:
    """The last values of the curves."""
    rows = []
    for name, frame in frames.items():
        measured = frame.dropna(subset=[key]) if key in frame else frame.iloc[:0]
        ends = measured.groupby("split")[key].last() if len(measured) else pd.Series(dtype=float)
        rows.append((name, text.number(ends.get("train")), text.number(ends.get("val"))))
    return html.table(rows, ("run", "last in training", "last in validation"))


def _differences(runs: Sequence[RunInfo]) -> list[Html]:
    comparison = compare_runs([info.path for info in runs])
    parts = []
    for title, differences in comparison.sections.items():
        rows = [(each.label, *each.values) for each in differences]
        parts.append(html.table(rows, (title, *_labels(runs))) if rows else html.paragraph(f"{title}: no difference"))
    return parts
