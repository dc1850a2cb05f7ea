"""Rate and accuracy as rows of text for `fpnkit.foundation.tables.print_rows`."""

from __future__ import annotations

from collections.abc import Sequence

from fpnkit.foundation import text
from fpnkit.foundation.tables import Rows
from fpnkit.metrics.bd import BdResult
from fpnkit.ratedist.compare import RateAtShare
from fpnkit.ratedist.judge import Next
from fpnkit.ratedist.points import MEAN_SNR, PART_MAPS, PART_SHARES, PERCENT, SECONDS, Curve, Point, RdPoints
from fpnkit.runs import layout
from fpnkit.runs.results import PARTS

_NAMES = {
    **{"map": "mAP", "map50": "mAP50", "self_map": "self-mAP", "share_of_ceiling": "of ceiling", "bpp": "bpp"},
    **{f"{part}_map": f"{part} mAP" for part in PARTS},
    **{f"{part}_share_of_ceiling": f"of {part} ceiling" for part in PARTS},
}

_GIVING_WAY = ("estimated", "KB/image", "epoch", "self-mAP", "SNR dB", "seed", "gap", "run")
_GAP = 2


def point_rows(points: RdPoints, y: str) -> Rows:
    """One row per point; empty columns are left out."""
    keys = ["bpp", "bpp_estimated", "bpp_gap", "kb_per_image", "map", *PART_MAPS, "self_map", "share_of_ceiling"]
    keys += [*PART_SHARES, MEAN_SNR]
    keys += [y] if y not in keys else []
    keys += [SECONDS[0]] if points.searched else []
    header = ("curve", "run", "lambda", "quality", "seed", "epoch", "status", *map(column_name, keys))
    rows = [_point_row(curve, point, keys) for curve in points.curves for point in curve.points]
    used = [index for index in range(len(header)) if any(row[index] != text.NOTHING for row in rows)]
    return Rows(tuple(header[i] for i in used), tuple(tuple(row[i] for i in used) for row in rows))


def fitting(rows: Rows, width: int, points: RdPoints) -> Rows:
    """Drop the least important columns until the rest fits the terminal.

    SNR stays where accuracy alone would flatter a curve.
    """
    kept = list(range(len(rows.header)))
    for name in _GIVING_WAY:
        if points.shows_snr and name == column_name(MEAN_SNR):
            continue
        needed = sum(max(len(line[index]) for line in (rows.header, *rows.rows)) + _GAP for index in kept)
        if needed - _GAP > width and name in rows.header:
            kept.remove(rows.header.index(name))
    return Rows(tuple(rows.header[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in rows.rows))


def _point_row(curve: Curve, point: Point, keys: Sequence[str]) -> list[str]:
    return [
        text.printable(curve.name),
        text.NOTHING if point.run is None else layout.short_name(point.run),
        text.rate(point.lmbda),
        text.number(point.quality),
        text.NOTHING if point.seed is None else str(point.seed),
        text.NOTHING if point.epoch is None else str(point.epoch),
        point.status if point.directory is not None or point.status == "running" else f"{point.status}, not evaluated",
        *(_value(point, key) for key in keys),
    ]


def column_name(key: str) -> str:
    """Of a value in the header of `point_rows`."""
    names = {"bpp_estimated": "estimated", "bpp_gap": "gap", "kb_per_image": "KB/image", MEAN_SNR: "SNR dB"}
    names |= {"encode_seconds": "encode s"}
    return metric_name(key) if key not in names else names[key]


def metric_name(key: str) -> str:
    """As people write it."""
    return _NAMES.get(key, key)


def _value(point: Point, key: str) -> str:
    if key not in point.values:
        return text.NOTHING
    value, bounds = point.values[key], point.intervals.get(key)
    if key == "bpp_gap":
        return f"{100 * value:+.2f} %"
    if key in SECONDS:
        return f"{value:.3f}"
    shown = f"{100 * value:.1f}" if key in PERCENT else f"{value:.2f}" if key.startswith("snr") else f"{value:.4g}"
    return shown + ("" if bounds is None else f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]")


def dataset_line(points: RdPoints, y: str) -> str:
    """The data set and detector of the curves, and their ceiling."""
    ceiling = points.ceiling_of(y)
    known = "" if ceiling is None else f"; {metric_name(y)} on uncompressed features {100 * ceiling:.1f}"
    return f"{points.dataset} with {points.detector}{known}"


def next_line(found: Next) -> str:
    """What to train or measure, and why."""
    return f"{found.curve}: {found.what}: {found.reason}"


def share_title(x: str) -> str:
    """Of the table below."""
    return f"Rate at a share of the ceiling, linear in log {metric_name(x)} between points"


def bd_title(against: str) -> str:
    """Of the table of `bd_rows`."""
    return f"Against {against}, piecewise cubic (pchip); a negative BD-rate needs fewer bits"


def share_rows(results: Sequence[RateAtShare], x: str, y: str) -> Rows:
    """The rate at each share of the ceiling."""
    header = ("curve", "of ceiling", metric_name(y), metric_name(x), "95 %", "")
    return Rows(header, tuple(_share_row(result) for result in results))


def share_table(results: Sequence[RateAtShare], y: str) -> Rows:
    """The same with a row for each curve, for where there is room."""
    targets = {result.share: result.target for result in results}
    columns = tuple(f"{100 * share:.0f} % ({metric_name(y)} {100 * targets[share]:.1f})" for share in sorted(targets))
    rows = []
    for curve in dict.fromkeys(result.curve for result in results):
        own = {result.share: result for result in results if result.curve == curve}
        cells = [_rate(own[share]) if share in own else text.NOTHING for share in sorted(targets)]
        reasons = {f"{100 * share:.0f} %": own[share].reason or own[share].interval_reason for share in sorted(own)}
        remarks = "; ".join(f"{share}: {reason}" for share, reason in reasons.items() if reason)
        rows.append((text.printable(curve), *cells, remarks))
    return Rows(("curve", *columns, ""), tuple(rows))


def _rate(result: RateAtShare) -> str:
    bounds = "" if result.interval is None else f" [{result.interval[0]:.4g}, {result.interval[1]:.4g}]"
    return text.number(result.rate) + bounds


def _share_row(result: RateAtShare) -> tuple[str, ...]:
    bounds = result.interval
    return (
        text.printable(result.curve),
        f"{100 * result.share:.0f} %",
        f"{100 * result.target:.1f}",
        text.number(result.rate),
        text.NOTHING if bounds is None else f"[{bounds[0]:.4g}, {bounds[1]:.4g}]",
        result.reason or result.interval_reason or "",
    )


def bd_rows(results: Sequence[BdResult], y: str) -> Rows:
    """Every curve compared with one; rates are compared over the values in `overlap`."""
    name = metric_name(y)
    header = ("curve", "BD-rate %", "95 %", f"BD-{name}", "95 %", f"{name} from, to", "")
    return Rows(header, tuple(_bd_row(result, 100.0 if y in PERCENT else 1.0) for result in results))


def _bd_row(result: BdResult, scale: float) -> tuple[str, ...]:
    rate, metric, overlap = result.bd_rate_interval, result.bd_metric_interval, result.overlap
    dropped = f"without {', '.join(result.dropped)}" if result.dropped else ""
    return (
        text.printable(result.test),
        text.NOTHING if result.bd_rate_percent is None else f"{result.bd_rate_percent:+.1f}",
        text.NOTHING if rate is None else f"[{rate[0]:+.1f}, {rate[1]:+.1f}]",
        text.NOTHING if result.bd_metric is None else f"{scale * result.bd_metric:+.2f}",
        text.NOTHING if metric is None else f"[{scale * metric[0]:+.2f}, {scale * metric[1]:+.2f}]",
        text.NOTHING if overlap is None else f"{scale * overlap[0]:.4g}, {scale * overlap[1]:.4g}",
        "; ".join(part for part in (result.reason or result.interval_reason, dropped) if part),
    )
