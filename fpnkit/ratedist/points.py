"""Rate and accuracy as plain data: a point is one codec at one rate, a curve joins points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fpnkit.errors import UserError
from fpnkit.foundation import text
from fpnkit.metrics.bd import Series
from fpnkit.metrics.frontier import dominated_by
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine
from fpnkit.runs.results import FEWEST_IMAGES, PARTS, Ceiling, Summary

ANCHOR = "anchor"  # status of a point that no run made
RATES = ("bpp", "kb_per_image", "bpp_estimated")
MEAN_SNR = "snr_db.mean"
_MOST_DIGITS = 7
SECONDS = ("encode_seconds", "decode_seconds")  # of an image
PART_MAPS = tuple(f"{part}_map" for part in PARTS)  # where detector and set have masks or keypoints
PART_SHARES = tuple(f"{part}_share_of_ceiling" for part in PARTS)
PERCENT = (
    "map",
    "map50",
    "self_map",
    "share_of_ceiling",
    *PART_MAPS,
    *PART_SHARES,
)  # shown to people as such; stored in [0, 1]


@dataclass(frozen=True)
class Point:
    """One codec at one rate, from an evaluation, or from the last validation if there is none yet."""

    codec: str
    status: str  # of the run, or `anchor`
    values: Mapping[str, float]  # as the columns of the table: bpp, map, snr_db.p3, …
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # 95 %
    trail: tuple[Mapping[str, float], ...] = ()  # earlier validations of a run without evaluation
    directory: Path | None = None  # of the evaluation; None: not evaluated
    path: Path | None = None  # of the run
    run: str | None = None
    lmbda: float | None = None
    seed: int | None = None
    quality: float | None = None  # on the codec's own scale
    search_steps: int | None = None  # in the encoder
    for_heads: bool = False  # its codec was trained for what the detector's heads notice
    epoch: int | None = None  # of the checkpoint
    commit: str | None = None
    detector: str | None = None
    note: str | None = None  # a warning that goes wherever the point goes

    @property
    def solid(self) -> bool:
        """Whether it is final: measured through real bytes, of a run that is not training any more."""
        return self.directory is not None and self.status != "running"

    @property
    def name(self) -> str:
        """`run 20261216_143022`, by which it can be found."""
        return self.codec if self.run is None else f"run {layout.short_name(self.run)}"

    @property
    def label(self) -> str:
        """For messages."""
        parts = [] if self.lmbda is None else [f"lambda {text.rate(self.lmbda)}"]
        parts += [] if self.quality is None else [f"quality {self.quality:g}"]
        return ", ".join(parts) or self.codec


@dataclass(frozen=True)
class Curve:
    """Points that differ only in lambda or quality, and seed; one detector, one set of images."""

    name: str
    codec: str
    points: tuple[Point, ...]  # in order of rate
    dataset: str | None = None  # None: nothing is evaluated yet
    detector: str | None = None
    data_id: str | None = None
    detector_id: str | None = None
    images: int | None = None  # of the set

    @property
    def too_few_images(self) -> bool:
        """Whether there are no intervals to resample for."""
        return self.images is not None and self.images < FEWEST_IMAGES

    @property
    def shows_snr(self) -> bool:
        """Whether accuracy alone says too little: training or search may have spent the features on it."""
        return any(point.for_heads or point.search_steps for point in self.points)

    @property
    def searched(self) -> bool:
        """Whether the encoder searched, which takes time."""
        return any(point.search_steps for point in self.points)

    def steps(self, x: str, y: str) -> list[tuple[Point, ...]]:
        """Solid points with both values, those of one lambda or quality together, in order of mean rate."""
        groups: dict[object, list[Point]] = {}
        for number, point in enumerate(self.points):
            if point.solid and x in point.values and y in point.values:
                unknown = number if point.lmbda is None and point.quality is None else None
                groups.setdefault((point.lmbda, point.quality, unknown), []).append(point)
        return sorted((tuple(group) for group in groups.values()), key=lambda group: mean_of(group, x))

    def beaten(self, x: str, y: str) -> dict[int, int]:
        """Dominated steps: position → position of the step that dominates it."""
        series = self.series(x, y)
        others = ((index, dominated_by(index, series.rates, series.values)) for index in range(len(series.labels)))
        return {index: other for index, other in others if other is not None}

    def series(self, x: str, y: str) -> Series:
        """For interpolation: seeds averaged."""
        steps = self.steps(x, y)
        labels = [step[0].label for step in steps]
        return Series(self.name, labels, [mean_of(step, x) for step in steps], [mean_of(step, y) for step in steps])


@dataclass(frozen=True)
class RdPoints:
    """Curves that may share a figure, with warnings."""

    curves: tuple[Curve, ...]
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # the warnings that are about what is not drawn
    ceiling: Ceiling | None = None
    ceiling_directory: Path | None = None  # with the matches on uncompressed features, where they were kept
    dataset: str | None = None
    detector: str | None = None

    def curve(self, name: str) -> Curve:
        """Raises `UserError` that lists the names there are."""
        for curve in self.curves:
            if curve.name == name:
                return curve
        names = ", ".join(repr(curve.name) for curve in self.curves) or "none"
        where = "" if self.dataset is None else f" (on {self.dataset} with {self.detector})"
        raise UserError(f"curve {name!r}: required one of {names}{where}")

    @property
    def shows_snr(self) -> bool:
        """Whether the SNR of all curves stands beside their accuracy, because that of one has to."""
        return any(curve.shows_snr for curve in self.curves)

    @property
    def searched(self) -> bool:
        """Whether the encoder of a curve searched."""
        return any(curve.searched for curve in self.curves)

    def ceiling_of(self, y: str) -> float | None:
        """`y` with uncompressed features; None if it has no ceiling or is unknown."""
        if y in ("self_map", "share_of_ceiling", *PART_SHARES):
            return 1.0
        if self.ceiling is None:
            return None
        known: dict[str, float | None] = vars(self.ceiling)
        return known.get(y)

    @property
    def accuracy(self) -> str:
        """The metric to show first: mAP if there are labels, else self-mAP; SNR before any evaluation."""
        known = {key for curve in self.curves for point in curve.points for key in point.values}
        return next((key for key in ("map", "self_map") if key in known), MEAN_SNR)


def shown(key: str, value: float) -> str:
    """For messages: accuracies in percent, anything else with four digits."""
    return f"{100 * value:.1f} %" if key in PERCENT else f"{value:.4g}"


def shown_apart(key: str, low: float, high: float) -> tuple[str, str]:
    """Like `shown`, with as many digits as it takes to tell the two apart."""
    for digits in range(1, _MOST_DIGITS):
        texts = [
            f"{100 * value:.{digits}f} %" if key in PERCENT else f"{value:.{3 + digits}g}" for value in (low, high)
        ]
        if texts[0] != texts[1]:
            break
    return texts[0], texts[1]


def mean_of(points: Iterable[Point], key: str) -> float:
    """Over seeds."""
    values = [point.values[key] for point in points]
    return math.fsum(values) / len(values)


def mean_snr_db(snr_db: Mapping[str, float]) -> float:
    """Levels are averaged as noise-to-signal ratios, not as decibels: -10 log10(mean_l MSE_l / variance_l)."""
    ratio = math.fsum(10 ** (-value / 10) for value in snr_db.values()) / len(snr_db)
    return math.inf if ratio == 0 else -10 * math.log10(ratio)


def values_of_summary(summary: Summary) -> dict[str, float]:
    """Columns of the table; what was not measured is absent."""
    names = ("bpp", "bpp_estimated", "kb_per_image", *PERCENT, *SECONDS)
    values: dict[str, float | None] = {name: getattr(summary, name) for name in names}
    if summary.bpp_estimated:
        values["bpp_gap"] = summary.bpp / summary.bpp_estimated - 1
    return _known(values | snr_values(summary.snr_db))


def values_of_line(line: MetricsLine) -> dict[str, float]:
    """The same of a line of metrics.jsonl: estimates on the validation images."""
    return _known({"loss": line.loss, "bpp_estimated": line.bpp_estimated, **snr_values(line.snr_db or {})})


def snr_values(snr_db: Mapping[str, float]) -> dict[str, float]:
    """Table columns: each level, and the mean."""
    if not snr_db:
        return {}
    return {f"snr_db.{level}": value for level, value in snr_db.items()} | {MEAN_SNR: mean_snr_db(snr_db)}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None and math.isfinite(value)}
