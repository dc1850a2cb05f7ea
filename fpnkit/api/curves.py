"""What runs logged while they were trained, and where in the pyramid their bits go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.api.drawing import Drawing, styled
from fpnkit.api.runs import Run, RunsLike, chosen
from fpnkit.config.schema import CodecConfig, HoldoutData
from fpnkit.errors import RunError, UserError
from fpnkit.foundation import text
from fpnkit.plots.metrics import metric_keys, plot_metric
from fpnkit.runs import layout
from fpnkit.runs.store import NONE_YET, list_runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_IMAGES = 20


def plot_metrics(
    runs: RunsLike | None = None,
    key: str = "loss",
    *,
    base_dir: str | Path | None = None,
    ax: Axes | None = None,
) -> Drawing:
    """A curve for each run over the steps of training: validation with markers, training thin.

    `runs`: default all; `key`: a column of `run.metrics()`. Raises `UserError` that lists them if no run has it.
    """
    found = [Run(path) for path in chosen(runs, base_dir)]
    if not found:
        raise _none("at least one", base_dir)
    frames = dict(zip(_labels(found), (run.metrics() for run in found), strict=True))
    known = metric_keys(list(frames.values()))
    if key not in known:
        raise UserError(f"plot_metrics: required one of {', '.join(known) or '(nothing was logged)'}, found {key}")
    with styled(ax):
        return Drawing(plot_metric(frames, key, ax=ax))


def comparable(runs: RunsLike | None = None, *, base_dir: str | Path | None = None) -> list[Run]:
    """Those of one detector and the same validation images: most of them, the newest if there are several such groups.

    `runs`: default all that have a model. Prints how many are left out. Raises `RunError` without any.
    """
    paths = chosen(runs, base_dir)
    found = [Run(path) for path in paths if runs is not None or (path / layout.BEST_MODEL).is_file()]
    if not found:
        raise _none("at least one with a model", base_dir)
    newest_last = sorted(found, key=lambda run: (run.info.created.timestamp() if run.info.created else 0.0, run.name))
    groups = [_group(run) for run in newest_last]
    most = max(reversed(groups), key=groups.count)
    kept = [run for run in found if _group(run) == most]
    if others := len(found) - len(kept):
        print(f"{others} of {len(found)} runs left out: of another detector or other images than {kept[0].name}")
    return kept


def bits(
    runs: RunsLike | None = None,
    *,
    images: int = _IMAGES,
    quality: float | None = None,
    base_dir: str | Path | None = None,
) -> pd.DataFrame:
    """A row per run and level: real payload in bits per pixel, estimate, SNR, share of dead latents. Takes seconds.

    Encodes the first validation images. `runs`: default all that have a model; those of another detector or other
    images than most are left out, which is printed. `quality`: of codecs of several rates (default: the middle).
    """
    from fpnkit.analysis.across import entries_of
    from fpnkit.analysis.statistics.across import rates

    kept = [run.path for run in comparable(runs, base_dir=base_dir)]
    return rates(entries_of(kept, count=images, quality=quality))


def plot_bits(
    runs: RunsLike | None = None,
    *,
    share: bool = False,
    images: int = _IMAGES,
    quality: float | None = None,
    base_dir: str | Path | None = None,
    ax: Axes | None = None,
) -> Drawing:
    """`bits`, or a table that it gave, as stacked columns; `share`: each column sums to 100 %."""
    import pandas as pd

    from fpnkit.plots.across import plot_stacked_bits

    if isinstance(runs, pd.DataFrame) and "level" in runs:
        table = runs
    else:
        table = bits(runs, images=images, quality=quality, base_dir=base_dir)
    with styled(ax):
        return Drawing(plot_stacked_bits(table, share=share, ax=ax))


def _none(required: str, base_dir: str | Path | None) -> RunError:
    """That there is none of the runs asked for, and what to do about it."""
    folder = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir)
    there = list_runs(folder) if folder.is_dir() else []
    training = [layout.short_name(run.name) for run in there if run.status == "running"]
    if training and all(run.status != "finished" for run in there):
        what = f"still training: {', '.join(training)}; try again when a run has finished"
    elif there:
        what = f"fk.runs() lists those in {folder}"
    else:
        what = NONE_YET
    return RunError(f"runs: required {required}, found none; {what}")


def _labels(runs: Sequence[Run]) -> list[str]:
    """Lambdas where they tell the runs apart, else names."""
    rates = [run.info.lmbda for run in runs]
    names = [f"λ {text.rate(rate)}" for rate in rates]
    if None in rates or len(set(names)) < len(names):
        names = [text.printable(layout.short_name(run.name)) for run in runs]
    return names if len(set(names)) == len(names) else [text.printable(run.name) for run in runs]


def _group(run: Run) -> tuple[object, ...]:
    config = run.config
    if not isinstance(config, CodecConfig):
        raise RunError(f"run {run.path}: required a codec, found a detector")
    val = config.data.val
    drawn = (config.data.train, config.seed) if isinstance(val, HoldoutData) else ()
    return run.info.detector_fingerprint, val, *drawn
