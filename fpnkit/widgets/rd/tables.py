"""The tables below an R-D figure: rates at shares of the ceiling, bits saved, doubts, what to train next."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import FpnkitError
from fpnkit.foundation import text
from fpnkit.foundation.files import file_stamp
from fpnkit.foundation.html import Html, join
from fpnkit.foundation.steps import Tell
from fpnkit.foundation.tables import Rows
from fpnkit.launch.request import make_request
from fpnkit.ratedist.judge import Next, NextLambda, NextQuality
from fpnkit.ratedist.overview import CurveComparison, Remarks, compare_all
from fpnkit.ratedist.points import RdPoints
from fpnkit.ratedist.resampling import Resampler
from fpnkit.ratedist.rows import bd_rows, bd_title, next_line, share_table, share_title
from fpnkit.runs import layout
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WRAPPED, Choices, Panel
from fpnkit.widgets.common.work import Show

_NOTHING = "(nothing)", ""  # not None, which is no choice at all
_MOST_WARNINGS = 6  # that are not folded


class ComparisonView(widgets.VBox):
    """Computed in the background."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._points: RdPoints | None = None
        self._asked: object = None  # what is computed, or was
        self._sampler = Resampler("", "")
        self._sampled: Mapping[Path, object] = {}
        self._work = panel.work("compare")
        place = {"width": "auto", "align_self": "flex-start"}
        self.against = widgets.Dropdown(options=[_NOTHING], description="BD-rate against", style=LABEL, layout=place)
        self._curves = Choices(panel, self.against, "compare", self._ask)
        self.shares, self.savings = widgets.HTML(), widgets.HTML()
        self._work.replaces = [self.shares, self.savings]
        half = {"flex": "1 1 760px", "min_width": "0"}  # else remarks wrap
        shares, savings = (
            widgets.VBox([self.shares], layout=half),
            widgets.VBox([self.against, self.savings], layout=half),
        )
        side_by_side = widgets.HBox([shares, savings], layout={**WRAPPED, "grid_gap": "0 24px"})
        super().__init__([self._work, side_by_side])

    def show(self, points: RdPoints, x: str, y: str) -> None:
        """Compute the tables of these points."""
        self._points = points
        names = [curve.name for curve in points.curves if curve.steps(x, y)]
        self._curves.replace([_NOTHING, *((text.printable(name), name) for name in names)], otherwise="")
        if (x, y) != (self._sampler.x, self._sampler.y) or self._evaluated_again(points):
            self._sampler = Resampler(x, y)
            self.shares.value = self.savings.value = ""  # of something else
        self._ask()

    def _evaluated_again(self, points: RdPoints) -> bool:
        """Whether a resampled evaluation was replaced."""
        directories = [point.directory for curve in points.curves for point in curve.points if point.directory]
        directories += [points.ceiling_directory] if points.ceiling_directory else []
        now = {directory: file_stamp(directory / layout.SUMMARY) for directory in directories}
        changed = any(self._sampled.get(directory, time) != time for directory, time in now.items())
        self._sampled = now if changed else {**self._sampled, **now}
        return changed

    def _ask(self) -> None:
        points, sampler, against = self._points, self._sampler, self.against.value or None
        if points is None:
            return
        solid = [(curve.name, tuple(point for point in curve.points if point.solid)) for curve in points.curves]
        asked = (sampler, against, solid, points.ceiling, points.ceiling_directory)
        if asked == self._asked:  # a run on its way changes the figure, not what is compared
            return
        self._asked = asked
        self._work.ask(lambda tell: self._compare(points, sampler, against, tell))

    def _compare(self, points: RdPoints, sampler: Resampler, against: str | None, tell: Tell) -> Show:
        compared, y = compare_all(points, sampler, against, tell), sampler.y
        shares = html.paragraph(f"There is no ceiling for {y}.", pale=True)
        if compared.shares:
            shares = _table(share_table(compared.shares, y), share_title(sampler.x))
        savings = _savings(compared, y, against)

        def show() -> None:
            self.shares.value, self.savings.value = shares, savings

        return show


def _savings(compared: CurveComparison, y: str, against: str | None) -> Html:
    if against is None:
        return html.paragraph("Choose a curve to see how many bits the others save compared with it.", pale=True)
    if not compared.savings:
        return html.paragraph("no other curve is measured", pale=True)
    return _table(bd_rows(compared.savings, y), bd_title(against))


def _table(rows: Rows, caption: str) -> Html:
    return html.bounded(html.numbers(rows.rows, rows.header, caption=caption))


def judged_html(judged: Remarks, points: RdPoints, base_dir: Path) -> Html:
    """Warnings, and what to train next with the command that does it."""
    # What is drawn and doubtful before what is not drawn.
    warnings = sorted(judged.warnings, key=lambda warning: warning in points.left_out)
    first, more = warnings[:_MOST_WARNINGS], warnings[_MOST_WARNINGS:]
    parts = [html.folded("Warnings", html.bullets(first), opened=True)] if first else []
    parts += [html.folded(f"{len(more)} more", html.bullets(more))] if more else []
    if judged.following:
        commands = [_next(found, points, base_dir) for found in judged.following]
        lambdas = all(isinstance(found, NextLambda) for found in judged.following)
        parts.append(html.folded("Next lambda" if lambdas else "Next", join(commands), opened=True))
    return html.bounded(join(parts))


def _next(found: Next, points: RdPoints, base_dir: Path) -> Html:
    if isinstance(found, NextLambda):
        return join([html.paragraph(next_line(found)), _sweep(found, points, base_dir)])
    place = [] if base_dir == layout.default_base_dir("fpn_compression") else ["--base-dir", str(base_dir)]
    commands = [found.arguments] if isinstance(found, NextQuality) else found.commands
    lines = [shlex.join(["python", "-m", *each, *place]) for each in commands]
    return join([html.paragraph(next_line(found)), html.code("\n".join(lines), broken=True)])


def _sweep(found: NextLambda, points: RdPoints, base_dir: Path) -> Html:
    """Uses the config of a run of the curve, since the original file may have changed."""
    config = next(point.path for point in points.curve(found.curve).points if point.path) / layout.CONFIG_USED
    place = None if base_dir == layout.default_base_dir("fpn_compression") else base_dir
    try:
        return html.code(make_request(config, [text.rate(found.lmbda)], {}, [], place).command, broken=True)
    except FpnkitError as error:  # of another version of fpnkit, or gone
        return html.paragraph(str(error), pale=True)
