"""Collect points from run directories and anchors, with reasons for what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.ratedist.points import ANCHOR, PART_MAPS, Point, values_of_line, values_of_summary
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine, read_metrics
from fpnkit.runs.record import RunRecord, read_record
from fpnkit.runs.results import MATCHES, Summary, read_ceiling, read_summary
from fpnkit.runs.settings import has_several_rates, learned_by
from fpnkit.runs.status import status_of
from fpnkit.runs.store import run_info

ANCHORS = "anchors"
CEILINGS = "ceilings"


@dataclass(frozen=True)
class RunPoints:
    """The points of one run: one per data set and quality, or one without evaluation."""

    measured: tuple[tuple[Point, Summary], ...] = ()
    waiting: Point | None = None
    left_out: str | None = None  # why there is nothing


def read_run(path: Path) -> RunPoints:
    """A run's points. Raises `RunError` if the path is no run."""
    name = layout.short_name(path.name)
    try:
        record = read_record(path)
    except RunError:
        info = run_info(path)
        return RunPoints(left_out=f"run {name}: left out: {info.status}" + (f" ({info.reason})" if info.reason else ""))
    status = status_of(path, record)
    if record.kind != "fpn_compression":
        return RunPoints(left_out=f"run {name}: left out: it trains a detector, not a codec")
    if status.word == "crashed":
        return RunPoints(left_out=f"run {name}: left out: crashed" + (f" ({status.reason})" if status.reason else ""))
    measured = tuple(_measured(path, record, status.word, found) for found in _of_each_dataset(path, record))
    if measured:
        return RunPoints(measured)
    lines = [line for line in read_metrics(path / layout.METRICS) if line.split == "val"]
    if not lines:
        return RunPoints(left_out=f"run {name}: left out: {status.word}, without an evaluation or a validation so far")
    return RunPoints(waiting=_waiting(path, record, status.word, lines))


def _of_each_dataset(path: Path, record: RunRecord) -> list[tuple[Path, Summary]]:
    """All qualities of the best checkpoint (else the one evaluated last) on each set of images."""
    by_set: dict[str, list[tuple[Path, Summary]]] = {}
    evaluations = path / layout.EVALUATION
    for directory in (*_summaries(evaluations, depth=2), *_summaries(evaluations, depth=3)):
        if directory.parent.parent.parent != evaluations or layout.is_quality(directory.name):
            summary = read_summary(directory)
            by_set.setdefault(summary.dataset, []).append((directory, summary))

    def preference(found: tuple[Path, Summary]) -> tuple[bool, str, int]:
        directory, summary = found
        return _fits(summary, record), summary.created or "", (directory / layout.SUMMARY).stat().st_mtime_ns

    best = {dataset: max(group, key=preference)[1].checkpoint for dataset, group in by_set.items()}
    return [pair for dataset, group in by_set.items() for pair in group if pair[1].checkpoint == best[dataset]]


def _fits(summary: Summary, record: RunRecord) -> bool:
    """Whether it belongs to the run's best checkpoint, by hash if the run recorded one."""
    best = record.best
    if best is None:
        return False
    return summary.checkpoint == best.model_hash if best.model_hash else summary.epoch == best.epoch


def _measured(path: Path, record: RunRecord, status: str, found: tuple[Path, Summary]) -> tuple[Point, Summary]:
    directory, summary = found
    best, name, note = record.best, layout.short_name(path.name), None
    if best is not None and not _fits(summary, record):
        note = (
            f"run {name}: drawn with an older checkpoint: evaluated at epoch {summary.epoch}, "
            f"its best is of epoch {best.epoch}; python -m fpnkit.evaluate {name}"
        )
    values = values_of_summary(summary)
    if best is not None:
        values["loss"] = best.loss
    point = Point(
        codec=summary.codec,
        status=status,
        values=values,
        intervals=_intervals(summary),
        directory=directory,
        path=path,
        run=path.name,
        lmbda=record.config.lmbda if summary.lmbda is None else summary.lmbda,
        seed=record.config.seed,
        quality=summary.quality,
        search_steps=summary.search_steps,
        for_heads=_for_heads(path),
        epoch=summary.epoch,
        commit=summary.commit,
        detector=summary.detector,
        note=note,
    )
    return point, summary


def _waiting(path: Path, record: RunRecord, status: str, lines: Sequence[MetricsLine]) -> Point:
    """By validation, which for a codec of several rates gives the means over its curve."""
    *trail, last = [values_of_line(line) for line in lines]
    several = has_several_rates(path)
    name = layout.short_name(path.name)
    return Point(
        codec=record.config.codec or "unknown",
        status=status,
        values=last,
        trail=tuple(trail),
        path=path,
        run=path.name,
        lmbda=None if several else record.config.lmbda,
        seed=record.config.seed,
        for_heads=_for_heads(path),
        epoch=lines[-1].epoch,
        detector=record.config.detector,
        note=f"run {name}: its point stands for a whole curve: means over its qualities, by validation"
        if several
        else None,
    )


def _for_heads(path: Path) -> bool:
    settings = learned_by(path)
    return any(settings.get(f"loss.distortion.{name}") is not None for name in ("head", "sensitivity"))


def read_anchors(home: Path) -> list[tuple[Point, Summary]]:
    """All measured anchors, of every detector and data set; the newest if an encoder gave the same point twice."""
    newest: dict[tuple[object, ...], tuple[Path, Summary]] = {}
    for directory in _summaries(home / "checkpoints" / ANCHORS, depth=4):
        summary = read_summary(directory)
        place = (summary.data_id, summary.detector_id, summary.codec, summary.encoder, summary.quality)
        if place not in newest or _created(newest[place][1]) < _created(summary):
            newest[place] = directory, summary
    found = []
    for directory, summary in newest.values():
        point = Point(
            codec=summary.codec,
            status=ANCHOR,
            values=values_of_summary(summary),
            intervals=_intervals(summary),
            directory=directory,
            quality=summary.quality,
            commit=summary.commit,
            detector=summary.detector,
        )
        found.append((point, summary))
    return found


def find_ceiling(home: Path, data_id: str, detector_id: str) -> Path | None:
    """The directory with the detections on uncompressed features and their matches."""
    for directory in _summaries(home / "checkpoints" / CEILINGS, depth=2):
        try:
            found = read_ceiling(directory)
        except RunError:
            continue
        same = (found.data_id, found.detector_id) == (data_id, detector_id)
        if same and (directory / MATCHES).is_file():
            return directory
    return None


def variance_of_images(ceiling: Path | None) -> Mapping[str, float] | None:
    """Variance of each level over the images of a ceiling: the SNR reference without a model."""
    if ceiling is None:
        return None
    try:
        return read_ceiling(ceiling).variance
    except RunError:
        return None


def _summaries(folder: Path, depth: int) -> Iterator[Path]:
    """Directories at this depth that hold a finished evaluation."""
    if depth == 0:
        if (folder / layout.SUMMARY).is_file():
            yield folder
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return
    for name in names:
        yield from _summaries(folder / name, depth - 1)


def _intervals(summary: Summary) -> dict[str, tuple[float, float]]:
    found = {key: getattr(summary, f"{key}_interval") for key in ("map", "self_map", *PART_MAPS)}
    return {key: bounds for key, bounds in found.items() if bounds is not None}


def most_common(summaries: Sequence[Summary]) -> tuple[str, str] | None:
    """The most common (data_id, detector_id); the newest if there are several."""
    if not summaries:
        return None
    # A run of several qualities has as many summaries.
    runs = {(each.data_id, each.detector_id, each.run or (each.codec, each.quality)) for each in summaries}
    counts = Counter((data, detector) for data, detector, _ in runs)
    newest = {(each.data_id, each.detector_id): each.created or "" for each in sorted(summaries, key=_created)}
    return max(counts, key=lambda group: (counts[group], newest[group]))


def _created(summary: Summary) -> str:
    return summary.created or ""
