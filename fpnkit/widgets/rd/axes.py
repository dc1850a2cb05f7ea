"""Controls of an R-D figure: its axes and what is drawn with the curves."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from fpnkit.foundation.text import NOTHING
from fpnkit.plots.rd import axis_name, place_of, plot_rd, rate_name
from fpnkit.plots.style import new_axes
from fpnkit.ratedist.points import ANCHOR, MEAN_SNR, PERCENT, RATES, Curve, RdPoints, mean_of
from fpnkit.ratedist.rows import point_rows
from fpnkit.widgets.common.panel import LABEL, Choices, Panel
from fpnkit.widgets.common.pointing import Spot
from fpnkit.widgets.rd.points import identified

_INCHES = 7.0
_OBVIOUS = NOTHING, "finished", ANCHOR
_LESS = "seed", "epoch", "estimated", "gap", "KB/image", "encode s"  # columns that a person who points does not ask for
_INTERVALS = [("where there is room", ""), ("all", True), ("none", False)]


class AxesView(widgets.HBox):
    """Controls; `plot` draws accordingly."""

    def __init__(self, panel: Panel, changed: Callable[[], None]) -> None:
        look = {"style": LABEL, "layout": {"width": "auto"}}
        self.x = widgets.Dropdown(options=[(rate_name(x), x) for x in RATES], description="x axis", **look)
        self.y = widgets.Dropdown(description="y axis", **look)
        self.logarithmic = widgets.Checkbox(
            True, description="logarithmic rate", indent=False, layout={"width": "auto"}
        )
        self.ceiling = widgets.Checkbox(True, description="ceiling", indent=False, layout={"width": "auto"})
        self.intervals = widgets.Dropdown(options=_INTERVALS, description="95 % intervals", **look)
        self._metrics = Choices(panel, self.y, "draw", changed)
        for control in (self.x, self.logarithmic, self.ceiling, self.intervals):
            panel.on(control, "draw", changed)
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 14px"}
        super().__init__([self.x, self.y, self.intervals, self.logarithmic, self.ceiling], layout=row)

    def offer(self, points: RdPoints, metrics: Sequence[str]) -> None:
        """Offer the metrics of the points."""
        self._metrics.replace([(axis_name(key), key) for key in metrics], otherwise=points.accuracy)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments for `plot_rd`."""
        shown = {
            "log": self.logarithmic.value,
            "ceiling": self.ceiling.value,
            "intervals": None if self.intervals.value == "" else self.intervals.value,
        }
        return {"x": self.x.value, "y": self.y.value, **shown}

    @property
    def state(self) -> tuple[Any, ...]:
        """Changes when the figure would."""
        return tuple(self.options.values())

    def plot(self, points: RdPoints) -> Axes:
        """As wide as a page has room for."""
        return plot_rd(points, ax=new_axes(_INCHES, 0.55 + 0.012 * len(points.curves)), **self.options)

    def words(self, points: RdPoints) -> str:
        """Alternative text: each curve from end to end."""
        x, y = self.x.value, self.y.value
        ends = [_ends(curve, x, y, points.shows_snr and y != MEAN_SNR) for curve in points.curves]
        return f"{axis_name(y)} over {rate_name(x)}. {' '.join(ends)} All points are in the table below."

    def spots(self, points: RdPoints) -> list[Spot]:
        """Each point with the most of its row in the table."""
        x, y = self.x.value, self.y.value
        header, rows = point_rows(points, y).header, identified(points, y)
        spots = []
        for row in rows:
            if place := place_of(row.point.values, x, y):
                cells = zip(header, row.cells, strict=True)
                told = [f"{name}  {cell}" for name, cell in cells if cell not in _OBVIOUS and name not in _LESS]
                spots.append(Spot(*place, "\n".join(told), row.key, row.curve))
        return spots


def _ends(curve: Curve, x: str, y: str, snr: bool) -> str:
    steps = curve.steps(x, y)
    if not steps:
        return f"{curve.name}: by validation only."
    scale = 100 if y in PERCENT else 1
    told = [f"{scale * mean_of(step, y):.3g} at {mean_of(step, x):.3g}" for step in (steps[0], steps[-1])]
    ends = steps[0], steps[-1]
    known = [mean_of(step, MEAN_SNR) for step in ends if all(MEAN_SNR in point.values for point in step)]
    noise = f", SNR {' to '.join(f'{value:.1f}' for value in known[: len(steps)])} dB" if snr and known else ""
    return f"{curve.name}: {' to '.join(told) if len(steps) > 1 else told[0]}{noise}."
