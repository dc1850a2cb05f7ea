"""Several runs side by side: curves of one value, and what differs."""

from collections.abc import Sequence
from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from fpnkit.foundation import text
from fpnkit.foundation.html import Html, join
from fpnkit.plots.metrics import metric_keys, metric_name, plot_metric
from fpnkit.plots.style import new_axes
from fpnkit.runs.compare import compare_runs
from fpnkit.runs.run import Run
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel, picture
from fpnkit.widgets.common.run_list import label, short_label

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
        chosen = [path for path in (self._run, *self.others.value) if path is not None]
        runs = [self._runs[path] for path in dict.fromkeys(chosen) if path in self._runs]
        if not runs:
            self.picture.layout.display, self.table.value = "none", html.paragraph("Choose a run above.", pale=True)
            return
        frames = dict(zip(_labels(runs), (Run(info.path).metrics() for info in runs), strict=True))
        self._draw_curves(frames)
        numbers = _last_values(frames, self.key.value) if self.key.value else html.paragraph("Nothing measured yet.")
        differing = _differences(runs) if len(runs) > 1 else []
        self.table.value = html.bounded(join([numbers, *differing]))

    def _draw_curves(self, frames: dict[str, pd.DataFrame]) -> None:
        keys = metric_keys(list(frames.values()))
        self._keys.replace([(metric_name(key), key) for key in keys], otherwise=keys[0] if keys else None)
        if not keys:
            self.picture.layout.display = "none"
            return
        key = self.key.value
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
