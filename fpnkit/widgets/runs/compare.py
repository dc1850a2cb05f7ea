"""Several runs side by side: curves of one value, and what differs."""

from collections.abc import Sequence
from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from fpnkit.foundation import text
from fpnkit.foundation.html import Html, join
from fpnkit.foundation.steps import Step, Tell
from fpnkit.plots.metrics import metric_keys, metric_name, plot_metric
from fpnkit.plots.style import new_axes
from fpnkit.runs.compare import compare_runs
from fpnkit.runs.run import Run
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel, picture
from fpnkit.widgets.common.run_list import label, short_label
from fpnkit.widgets.common.work import Show

_ROWS = 8  # of the list
_INCHES, _ASPECT = 7.5, 0.55  # of the figure


class CompareView(widgets.VBox):
    """The selected run and those marked in the list."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._run: Path | None = None
        self._runs: dict[Path, RunInfo] = {}
        self.others = widgets.SelectMultiple(description="Compare with", style=LABEL, layout=WIDE, rows=_ROWS)
        self._others = Choices(panel, self.others, "compare", self.draw)
        self.key = widgets.Dropdown(description="Curve of", style=LABEL, layout={"width": "auto"})
        self._keys = Choices(panel, self.key, "compare", self.draw)
        self.picture = picture()
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
        chosen = [path for path in (self._run, *self.others.value) if path is not None]
        runs = [self._runs[path] for path in dict.fromkeys(chosen) if path in self._runs]
        self._reading.ask(lambda tell: self._read(runs, tell) if runs else self._show_nothing)

    def _read(self, runs: Sequence[RunInfo], tell: Tell) -> Show:
        frames: dict[str, pd.DataFrame] = {}
        for number, (name, info) in enumerate(zip(_labels(runs), runs, strict=True)):
            tell(Step("reading run", number, len(runs)))
            frames[name] = Run(info.path).metrics()
        keys = metric_keys(list(frames.values()))
        with self._panel.acting:
            self._keys.replace([(metric_name(key), key) for key in keys], otherwise=keys[0] if keys else None)
            key = self.key.value
        numbers = _last_values(frames, key) if key else html.paragraph("Nothing measured yet.")
        tell(Step("comparing"))
        differing = _differences(runs) if len(runs) > 1 else []
        tell(Step("drawing"))
        if key:
            self._draw_curves(frames, key)

        def show() -> None:
            self.picture.layout.display = None if key else "none"
            self.table.value = html.bounded(join([numbers, *differing]))

        return show

    def _show_nothing(self) -> None:
        self.picture.layout.display, self.table.value = "none", html.paragraph("Choose a run above.", pale=True)

    def _draw_curves(self, frames: dict[str, pd.DataFrame], key: str) -> None:
        words = f"Curves of {metric_name(key)} over training steps for {', '.join(frames)}; last values in the table"
        self._panel.draw(self.picture, lambda: plot_metric(frames, key, ax=new_axes(_INCHES, _ASPECT)), words)


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
