"""From run directories and anchors to curves and one tidy table; files only, without torch.

points = read_points([Path("checkpoints/fpn_compression/run_…"), …])
frame(points)                         # DataFrame, one row a point
plot_rd(points)                       # fpnkit.plots.rd
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpnkit.errors import UserError
from fpnkit.ratedist.curves import joined
from fpnkit.ratedist.gather import RunPoints, find_ceiling, most_common, read_anchors, read_run, variance_of_images
from fpnkit.ratedist.points import SECONDS, Curve, Point, RdPoints
from fpnkit.ratedist.reference import OneReference
from fpnkit.ratedist.versions import by_version
from fpnkit.runs import layout
from fpnkit.runs.results import FEWEST_IMAGES, NO_INTERVAL, PARTS, Summary

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    *("curve", "codec", "run", "lmbda", "seed", "quality", "search_steps", "epoch", "status", "evaluated"),
    *("dataset", "detector", "data_id", "bpp", "bpp_estimated", "bpp_gap", "kb_per_image"),
    *("map", "map_low", "map_high", "map50", "self_map", "self_map_low", "self_map_high"),
    *("ceiling_map", "ceiling_map50", "share_of_ceiling", *SECONDS, "loss", "dominated"),
)
_PART_COLUMNS = tuple(  # where a point has them
    name
    for part in PARTS
    for name in (
        *(f"{part}_map{end}" for end in ("", "_low", "_high")),
        *(f"ceiling_{part}_map", f"{part}_share_of_ceiling"),
    )
)


def read_points(
    runs: Sequence[Path],
    *,
    anchors: Sequence[str] | None = None,
    dataset: str | None = None,
    home: Path | None = None,
    read: Callable[[Path], RunPoints] = read_run,
) -> RdPoints:
    """Curves of these runs on one set of images (default: the one most were evaluated on), with their anchors.

    `anchors`: names, or parts such as `jpeg`; None: all with the same detector on the same images. `read`: replaces
    reading a run, for callers with a cache. Raises `UserError` for an unknown data set or anchor, and `RunError` for a
    path that is not a run.
    """
    home = home or layout.home()
    found = [read(path) for path in runs]
    left_out = [each.left_out for each in found if each.left_out]
    measured = [pair for each in found for pair in each.measured]
    waiting = [each.waiting for each in found if each.waiting]
    stored = [] if anchors is not None and not anchors else read_anchors(home)
    group = _group([summary for _, summary in measured], dataset)
    if group is None and not waiting:  # anchors alone
        group = _group([summary for _, summary in stored], dataset)
    inside = _once([(point, summary) for point, summary in measured if _ids(summary) == group])
    kept = _wanted(stored, anchors, group)
    left_out += _elsewhere(measured, inside)
    detector = inside[0][1].detector if inside else waiting[0].detector if waiting else None
    left_out += _of_other_detectors(waiting, detector)
    waiting = [point for point in waiting if point.detector == detector]
    ceiling_directory = find_ceiling(home, *group) if group else None
    reference = OneReference.of(inside, variance_of_images(ceiling_directory))
    doubts = reference.warnings([*inside, *kept], waiting)
    waiting = reference.waiting(waiting, [*inside, *kept])
    inside, kept = reference.measured(inside), reference.measured(kept)
    points = [point for point, _ in inside] + waiting
    doubts += [*dict.fromkeys(point.note for point in points if point.note), *_not_evaluated(points)]
    lines, unlike = joined(points)
    curves = [_curve(name, members, inside) for name, members in lines.items()]
    rivals, older = by_version(kept)
    curves += [_curve(name, members, kept) for name, members in rivals.items()]
    summaries = [summary for _, summary in (*inside, *kept)]
    if summaries and summaries[0].images < FEWEST_IMAGES:
        doubts.append(f"{summaries[0].dataset}: {NO_INTERVAL}")
    return RdPoints(
        tuple(curves),
        tuple([*left_out, *doubts, *unlike, *older]),
        tuple(left_out),
        ceiling=summaries[0].ceiling if summaries else None,
        ceiling_directory=ceiling_directory,
        dataset=summaries[0].dataset if summaries else None,
        detector=summaries[0].detector if summaries else None,
    )


def _once(measured: Sequence[tuple[Point, Summary]]) -> list[tuple[Point, Summary]]:
    """Of one run measured on copies of the same images, the newest; the others say the same."""
    newest: dict[tuple[object, ...], tuple[Point, Summary]] = {}
    for point, summary in sorted(measured, key=lambda pair: pair[1].created or ""):
        newest[point.path, summary.codec, summary.checkpoint, summary.quality, summary.search_steps] = point, summary
    kept = {id(summary) for _, summary in newest.values()}
    return [pair for pair in measured if id(pair[1]) in kept]


def _ids(summary: Summary) -> tuple[str, str]:
    return summary.data_id, summary.detector_id


def _group(summaries: Sequence[Summary], dataset: str | None) -> tuple[str, str] | None:
    if dataset is not None and summaries:
        names = sorted({summary.dataset for summary in summaries})
        if dataset not in names:
            raise UserError(f"data set {dataset!r}: no run was evaluated on it; required one of {', '.join(names)}")
        summaries = [summary for summary in summaries if summary.dataset == dataset]
    return most_common(summaries)


def _wanted(
    stored: Sequence[tuple[Point, Summary]], names: Sequence[str] | None, group: tuple[str, str] | None
) -> list[tuple[Point, Summary]]:
    """Anchors on the same images and detector; others are refused."""
    fitting = [(point, summary) for point, summary in stored if _ids(summary) == group]
    if names is None:
        return fitting
    there = sorted({point.codec for point, _ in fitting})
    for name in names:
        if not any(_means(name, codec) for codec in there):
            other = sorted({f"{s.dataset} with {s.detector}" for p, s in stored if _means(name, p.codec)})
            where = f"; it was measured on {', '.join(other)}" if other else ""
            raise UserError(
                f"anchor {name!r}: required one measured on the same images with the same detector, "
                f"found {', '.join(there) or 'none'}{where}"
            )
    return [(point, summary) for point, summary in fitting if any(_means(name, point.codec) for name in names)]


def _means(name: str, codec: str) -> bool:
    """`jpeg` and `input` mean `jpeg_input` among others."""
    return name == codec or name in codec.split("_")


def _elsewhere(measured: Sequence[tuple[Point, Summary]], inside: Sequence[tuple[Point, Summary]]) -> list[str]:
    """Warnings about runs evaluated on other images or with another detector."""
    shown = {point.path for point, _ in inside}
    if not inside:
        return []
    here, others = inside[0][1], dict[str, dict[str, None]]()  # sets in order: a run may have several points
    for point, summary in measured:
        if point.path not in shown:
            what = f"{summary.dataset} with {summary.detector}"
            if (summary.dataset, summary.detector) == (here.dataset, here.detector):
                what += f" of another content ({summary.data_id}, detector {summary.detector_id})"
            others.setdefault(what, {})[layout.short_name(str(point.run))] = None
    return [
        f"{_runs(names)} left out: evaluated on {what}, not on {here.dataset} with {here.detector}: {', '.join(names)}"
        for what, names in others.items()
    ]


def _of_other_detectors(waiting: Sequence[Point], detector: str | None) -> list[str]:
    others: dict[str, list[str]] = {}
    for point in waiting:
        if point.detector != detector:
            others.setdefault(str(point.detector), []).append(layout.short_name(str(point.run)))
    return [
        f"{_runs(names)} left out: made for the features of {other}, not of {detector}: {', '.join(names)}"
        for other, names in others.items()
    ]


def _not_evaluated(points: Sequence[Point]) -> list[str]:
    names = [
        layout.short_name(str(point.run)) for point in points if point.directory is None and point.status != "running"
    ]
    return [f"{_runs(names)} not evaluated: python -m fpnkit.evaluate {' '.join(names)}"] if names else []


def _runs(names: Collection[str]) -> str:
    return f"{len(names)} run{'' if len(names) == 1 else 's'}"


def _curve(name: str, points: Sequence[Point], known: Sequence[tuple[Point, Summary]]) -> Curve:
    ordered = tuple(sorted(points, key=lambda point: point.values.get("bpp", point.values.get("bpp_estimated", 0.0))))
    summary = next((summary for point, summary in known if any(point is member for member in points)), None)
    curve = Curve(name, points[0].codec, ordered)
    if summary is None:
        return curve
    return replace(
        curve,
        dataset=summary.dataset,
        detector=summary.detector,
        data_id=summary.data_id,
        detector_id=summary.detector_id,
        images=summary.images,
    )


def frame(points: RdPoints) -> pd.DataFrame:
    """One row per point, by curve and rate; values that were not measured are missing.

    `dominated`: another lambda or quality of the curve needs no more bits for at least the same accuracy, by means
    over seeds.
    `bpp_gap`: how far the bytes exceed the estimate, as a share of it.
    """
    import pandas as pd

    rows = [row for curve in points.curves for row in _rows(points, curve)]
    levels = sorted({key for row in rows for key in row if key.startswith("snr_db.")}, key=_level_order)
    parts = [key for key in _PART_COLUMNS if any(key in row for row in rows)]
    table = pd.DataFrame(rows, columns=[*_COLUMNS[:-2], *parts, *levels, *_COLUMNS[-2:]])
    return table.astype({"seed": "Int64", "search_steps": "Int64", "epoch": "Int64"})


def _rows(points: RdPoints, curve: Curve) -> list[dict[str, Any]]:
    steps = curve.steps("bpp", points.accuracy)
    beaten = [point for index in curve.beaten("bpp", points.accuracy) for point in steps[index]]
    ceiling = points.ceiling
    rows = []
    for point in curve.points:
        bounds = {f"{key}_{end}": value for key, pair in point.intervals.items() for end, value in _ends(pair)}
        row: dict[str, Any] = {"curve": curve.name, "dataset": curve.dataset, "detector": curve.detector}
        row |= {"data_id": curve.data_id, "evaluated": point.directory is not None}
        names = ("codec", "run", "lmbda", "seed", "quality", "search_steps", "epoch", "status")
        row |= {name: getattr(point, name) for name in names}
        row |= {f"ceiling_{key}": value for key, value in vars(ceiling).items() if value is not None} if ceiling else {}
        rows.append(row | dict(point.values) | bounds | {"dominated": any(point is other for other in beaten)})
    return rows


def _ends(pair: tuple[float, float]) -> tuple[tuple[str, float], tuple[str, float]]:
    return ("low", pair[0]), ("high", pair[1])


def _level_order(key: str) -> tuple[bool, str]:
    return key.endswith(".mean"), key
