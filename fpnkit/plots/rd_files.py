"""Save the R-D figure with its points and origin."""

from __future__ import annotations

from pathlib import Path

from fpnkit.plots.panels import figure_of
from fpnkit.plots.rd import plot_rd
from fpnkit.plots.save import save_figure
from fpnkit.plots.style import style
from fpnkit.ratedist.points import RdPoints
from fpnkit.ratedist.table import frame
from fpnkit.runs.provenance import describe_commit


def save_rd(
    points: RdPoints,
    path: Path,
    *,
    x: str,
    y: str,
    log: bool = True,
    ceiling: bool = True,
    intervals: bool | None = None,
) -> list[Path]:
    """Write `plot_rd` as `save_figure` does; returns the files written. Raises `UserError` and `StorageError`."""
    shown = [point for curve in points.curves for point in curve.points]
    source = {
        "runs": list(dict.fromkeys(point.run for point in shown if point.run is not None)),
        "anchors": [curve.name for curve in points.curves if all(point.run is None for point in curve.points)],
        "dataset": points.dataset,
        "detector": points.detector,
        "x": x,
        "y": y,
        "commit": describe_commit(),
        "evaluated_with": sorted({point.commit for point in shown if point.commit}),
    }
    with style():
        figure = figure_of(plot_rd(points, x=x, y=y, log=log, ceiling=ceiling, intervals=intervals))
        return save_figure(figure, path, frame(points), source)
