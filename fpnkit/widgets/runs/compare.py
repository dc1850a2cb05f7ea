"""Several runs side by side: curves of one value, and what differs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets
import pandas as pd
from matplotlib.axes import Axes

from fpnkit.foundation import text
from fpnkit.foundation.html import Html, join
from fpnkit.plots.metrics import metric_keys, metric_name, plot_metric
from fpnkit.plots.style import new_axes
from fpnkit.runs.compare import compare_runs
from fpnkit.runs.run import Run
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.run_list import label, short_label

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
        super().__init__([self.others, self.key, self.picture, self.table])

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
        """Read and show the selected runs. Raises RunError if one is gone."""
        chosen = {self._run, *self.others.value}
        runs = [info for path, info in self._runs.items() if path in chosen]  # choosing another keeps the colors
        if not runs:
            self.picture.layout.display, self.table.value = "none", html.paragraph("Choose a run above.", pale=True)
            return
        labels = dict(zip(_labels(runs), (info.path for info in runs), strict=True))
        frames = {label: Run(path).metrics() for label, path in labels.items()}
        self._draw_curves(frames, labels)
        numbers = _last_values(frames, self.key.value) if self.key.value else html.paragraph("Nothing measured yet.")
        chosen_first = sorted(runs, key=lambda info: info.path != self._run)  # the others are told against it
        differing = _differences(chosen_first) if len(runs) > 1 else []
        self.table.value = html.bounded(join([numbers, *differing]))

    def _clicked(self) -> None:
        key, self.picture.pointer.chosen = self.picture.pointer.chosen, ""
        path = next((path for path in self._runs if text.printable(path) == key), None)
        if path is not None:
            self._choose(path)

    def _draw_curves(self, frames: dict[str, pd.DataFrame], paths: dict[str, Path]) -> None:
        keys = metric_keys(list(frames.values()))
        self._keys.replace([(metric_name(key), key) for key in keys], otherwise=keys[0] if keys else None)
        if not keys:
            self.picture.layout.display = "none"
            return
        key = self.key.value
        marked = next((label for label, path in paths.items() if path == self._run), None) if len(paths) > 1 else None
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
