"""Points, curves and comparisons of runs and anchors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.api.drawing import Drawing, styled
from fpnkit.api.runs import RunsLike, chosen
from fpnkit.ratedist.compare import compare
from fpnkit.ratedist.overview import metrics
from fpnkit.ratedist.points import RdPoints
from fpnkit.ratedist.resampling import Resampler
from fpnkit.ratedist.table import frame, read_points
from fpnkit.runs import layout

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def points(
    runs: RunsLike | None = None,
    *,
    anchors: Sequence[str] | None = None,
    dataset: str | None = None,
    base_dir: str | Path | None = None,
) -> pd.DataFrame:
    """One row per measured point: curve, run, quality or lambda, bpp, mAP, self-mAP with intervals, SNR, seconds.

    `runs`: a list, or a part of the table `fpnkit.runs()`, where those that cannot be compared are left out, which is
    printed; default all. `anchors`: names or parts of names, none for `()`, default all on the same images. Raises
    `UserError`.
    """
    return frame(_read(runs, anchors, dataset, base_dir))


def plot_rd(
    runs: RunsLike | None = None,
    *,
    anchors: Sequence[str] | None = None,
    dataset: str | None = None,
    base_dir: str | Path | None = None,
    x: str = "bpp",
    y: str | None = None,
    ax: Axes | None = None,
) -> Drawing:
    """Rate-distortion curves of `points`; `y` is a column of it (default: mAP, else self-mAP)."""
    from fpnkit.plots.rd import plot_rd as plot

    found = _read(runs, anchors, dataset, base_dir)
    metrics(found)  # refuses to draw nothing
    with styled(ax):
        return Drawing(plot(found, x=x, y=y or found.accuracy, ax=ax))


def bd_rate(
    against: str | None = None,
    runs: RunsLike | None = None,
    *,
    anchors: Sequence[str] | None = None,
    dataset: str | None = None,
    base_dir: str | Path | None = None,
    x: str = "bpp",
    y: str | None = None,
) -> pd.DataFrame:
    """Mean difference of rate at equal accuracy, in percent, with a 95 % interval; negative: fewer bits.

    `against` one curve, by default the last. Where a difference cannot be had, `reason` says why. Raises `UserError` if
    there is no such curve.
    """
    import pandas as pd

    found = _read(runs, anchors, dataset, base_dir)
    sampler = Resampler(x, y or found.accuracy)
    measured = [curve for curve in found.curves if curve.steps(sampler.x, sampler.y)]
    anchor = found.curve(against) if against is not None else measured[-1] if measured else None
    rows = []
    for curve in measured:
        if anchor is None or curve is anchor:
            continue
        result = compare(anchor, curve, sampler)
        low, high = result.bd_rate_interval or (None, None)
        rows.append((curve.name, result.bd_rate_percent, low, high, result.reason))
    return pd.DataFrame(rows, columns=["curve", "bd_rate_percent", "low", "high", "reason"])


def _read(
    runs: RunsLike | None,
    anchors: Sequence[str] | None,
    dataset: str | None,
    base_dir: str | Path | None,
) -> RdPoints:
    folder = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir)
    if runs is None:
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        paths = [path for path in entries if layout.is_listed(path.name) and layout.is_run_directory(path)]
    else:
        paths = chosen(runs, folder)
    found = read_points(paths, anchors=anchors, dataset=dataset)
    for line in found.left_out if runs is not None else ():  # of runs that somebody wants to see
        print(line)
    return found
