"""Evaluate one coder: every image through real bytes on disk, the heads, and the metrics."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpnkit.codecs.coder import Coder
from fpnkit.detectors.base import Detections
from fpnkit.errors import FpnkitError
from fpnkit.evaluation.crew import count_of_workers
from fpnkit.evaluation.image import (
    Errand,
    Fault,
    ImageWork,
    ImageWorkRecipe,
    KeepStreams,
    Measured,
    Station,
    peak_memory_mb,
)
from fpnkit.evaluation.journal import Journal
from fpnkit.evaluation.recipes import CoderRecipe, StationRecipe, spread
from fpnkit.evaluation.room import SAMPLED_IMAGES, require_room
from fpnkit.evaluation.task import Task
from fpnkit.foundation import clock
from fpnkit.foundation.files import make_directory
from fpnkit.foundation.lock import used
from fpnkit.foundation.progress import Progress
from fpnkit.foundation.temporaries import remove_temporaries
from fpnkit.metrics import rate
from fpnkit.metrics.bootstrap import map_interval
from fpnkit.metrics.distortion import snr_db
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from fpnkit.metrics.overlaps import KINDS
from fpnkit.runs.provenance import describe_commit
from fpnkit.runs.results import (
    MATCHES,
    SELF_MATCHES,
    STREAMS,
    ImageRow,
    Summary,
    image_row,
    part_matches,
    read_summary,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """Where a coder comes from, as far as applicable."""

    run: str | None = None
    checkpoint: str | None = None  # 8 hex
    epoch: int | None = None
    lmbda: float | None = None
    quality: float | None = None
    search_steps: int | None = None  # in the encoder
    encoder: str | None = None  # of an anchor: libraries with their versions, settings


@dataclass(frozen=True)
class Job:
    """One coder to evaluate, and where its results go."""

    coder: Coder
    directory: Path
    origin: Origin
    variance: Mapping[str, float] | None = None  # the model's reference for SNR; None: that of the images
    recipe: CoderRecipe | None = None  # of the coder; without it only this process can measure it
    run: Path | None = None  # that the directory is in

    def reference_variance(self, task: Task) -> Mapping[str, float]:
        """The reference variance for SNR."""
        return task.reference.variance if self.variance is None else self.variance

    @property
    def title(self) -> str:
        """Of the curve and the point on it."""
        return self.coder.name if self.origin.quality is None else f"{self.coder.name} at {self.origin.quality:g}"


def evaluate(
    jobs: Sequence[Job], task: Task, *, workers: int | None = 1, keep_streams: KeepStreams = "all"
) -> list[Summary]:
    """Fill the directory of each job; the detector's backbone runs once per image for all of them.

    Continues an interrupted evaluation, with any number of workers, and returns a finished one unchanged. `workers`:
    processes side by side; 1: this one; None: as many as help. Their number changes no result. Raises `UserError` if a
    directory holds an evaluation of other images, another detector or another coder, or where results do not fit on
    the disk; `RunError` if a run is being moved away; `FpnkitError` in the end if coders failed, once the others are
    finished.
    """
    with ExitStack() as stack:
        for run in {job.run for job in jobs if job.run is not None}:
            stack.enter_context(used(run))
        journals = [
            stack.enter_context(closing(Journal(job.directory, _identity(job, task), task.device.type))) for job in jobs
        ]
        open_ones = [pair for pair in zip(jobs, journals, strict=True) if not pair[1].finished]
        failed, peak = _measure(open_ones, task, workers, keep_streams) if open_ones else ({}, 0.0)
        for number, (job, journal) in enumerate(open_ones):
            if number not in failed:
                assert len(journal) == len(task.images)
                journal.finish(asdict(_summarize(job, task, journal, peak)))
    if failed:
        raise _failure([open_ones[number][0] for number in failed], list(failed.values()), task)
    return [read_summary(job.directory) for job in jobs]


def _measure(
    pairs: Sequence[tuple[Job, Journal]], task: Task, workers: int | None, keep: KeepStreams
) -> tuple[dict[int, tuple[int, Fault]], float]:
    """All images that are left → number of a job: the image that its coder failed on; peak memory of a process."""
    journals = [journal for _, journal in pairs]
    begun, total = [len(journal) for journal in journals], len(task.images)
    first, pieces = min(begun), sum(total - done for done in begun)
    portable = task.recipe is not None and all(job.recipe is not None for job, _ in pairs)
    count = count_of_workers(workers, pieces, task.device, portable=portable)
    for job, _ in pairs:
        make_directory(job.directory / STREAMS)
        remove_temporaries(job.directory / STREAMS)
    failed: dict[int, tuple[int, Fault]] = {}

    def errands() -> Iterator[Errand]:
        for index in range(first, total):
            waiting = tuple(n for n, done in enumerate(begun) if done <= index and n not in failed)
            if waiting:
                yield Errand(index, waiting, task.reference.detections[index])

    images, coders = _counted(total - first, "image"), _counted(len(pairs), "coder")
    log.info("measuring %s with %s: %s on %s", images, coders, _counted(count, "process", "es"), task.device.type)
    if first >= SAMPLED_IMAGES:
        require_room(journals, total, keep)
    peak = 0.0
    make = _work_here(pairs, task, keep) if count == 1 else _work_elsewhere(pairs, task, keep)
    with closing(spread(make, errands(), count)) as results, Progress("images", total - first) as counted:
        for found in results:
            peak = max(peak, found.peak_memory_mb)
            for number, one in found.of.items():
                if isinstance(one, Measured) and number not in failed:
                    journals[number].add(one.row, one.boxes)
                elif isinstance(one, Fault):
                    failed.setdefault(number, (found.index, one))
            counted.reach(found.index - first + 1)
            if found.index + 1 == SAMPLED_IMAGES < total:
                require_room(journals, total, keep)
    return failed, peak or peak_memory_mb()


def _counted(count: int, what: str, plural: str = "s") -> str:
    return f"{count} {what}{'' if count == 1 else plural}"


def _identity(job: Job, task: Task) -> dict[str, str]:
    encoder = {} if job.origin.encoder is None else {"encoder": job.origin.encoder}
    return {
        "data_id": task.reference.data_id,
        "detector_id": task.detector_id,
        "codec": job.coder.name,
        "checkpoint": str(job.origin.checkpoint),
        "quality": str(job.origin.quality),
        **encoder,
        **({"parts": " ".join(task.parts)} if task.parts else {}),
    }


def _work_here(pairs: Sequence[tuple[Job, Journal]], task: Task, keep: KeepStreams) -> Callable[[], ImageWork]:
    stations = [Station(job.coder, job.directory / STREAMS, job.reference_variance(task)) for job, _ in pairs]
    return lambda: ImageWork(task, stations, keep)


def _work_elsewhere(pairs: Sequence[tuple[Job, Journal]], task: Task, keep: KeepStreams) -> ImageWorkRecipe:
    stations = []
    for job, _ in pairs:
        assert job.recipe is not None
        stations.append(StationRecipe(job.recipe, job.directory / STREAMS, dict(job.reference_variance(task))))
    assert task.recipe is not None
    return ImageWorkRecipe(task.recipe, tuple(stations), keep)


def _failure(jobs: Sequence[Job], faults: Sequence[tuple[int, Fault]], task: Task) -> FpnkitError:
    """One line for each coder, which of its images is at fault and why."""
    lines = [
        f"{job.title}, image {task.images.title(index)}: {fault.text}; its {index} images before it are kept"
        for job, (index, fault) in zip(jobs, faults, strict=True)
    ]
    error = FpnkitError("\n".join([*lines, "all other coders are finished; the same command goes on with the rest"]))
    for origin in dict.fromkeys(fault.origin for _, fault in faults if fault.origin):
        error.add_note(origin)
    return error


def _summarize(job: Job, task: Task, journal: Journal, peak_mb: float) -> Summary:
    rows, detections = [image_row(values) for values in journal.rows()], journal.detections()
    reference = task.reference
    matches = match(reference.truth, detections)
    self_matches = match(reference.self_truth, detections)
    matches.save(job.directory / MATCHES)
    self_matches.save(job.directory / SELF_MATCHES)
    scores, self_scores = average_precision_of(matches), average_precision_of(self_matches)
    ceiling, variance = reference.ceiling, job.reference_variance(task)
    return Summary(
        codec=job.coder.name,
        dataset=task.images.name,
        data_id=reference.data_id,
        detector=task.detector.name,
        detector_id=task.detector_id,
        images=len(rows),
        **_rates(rows),
        snr_db={level: snr_db(mse / variance[level]) for level, mse in _means(rows, "mse").items()},
        snr_variance=dict(variance),
        map=scores.map,
        map50=scores.map50,
        self_map=self_scores.map,
        map_interval=map_interval(matches),
        self_map_interval=map_interval(self_matches),
        share_of_ceiling=_share(scores.map, ceiling.map),
        **_parts(job, task, detections),
        ceiling=ceiling,
        flagged_images=sum(bool(row.flagged) for row in rows),
        encode_seconds=statistics.fmean(row.encode_seconds for row in rows),
        decode_seconds=statistics.fmean(row.decode_seconds for row in rows),
        peak_memory_mb=peak_mb,
        device=task.device.type,
        labels=task.labels,
        **vars(job.origin),
        created=clock.to_text(clock.now()),
        commit=describe_commit(),
    )


def _parts(job: Job, task: Task, detections: Sequence[Detections]) -> dict[str, Any]:
    """AP of masks and keypoints, where detector and set have them and the coder sends what they are found in."""
    fields: dict[str, Any] = {}
    lacking = {"mask": lambda found: found.rles is None, "keypoint": lambda found: found.keypoints is None}
    for part in task.parts:
        if any(lacking[part](found) for found in detections if len(found.scores)):
            continue
        matches = match(task.reference.truth, detections, KINDS[part])
        matches.save(job.directory / part_matches(part))
        found = average_precision_of(matches).map
        fields[f"{part}_map"] = found
        fields[f"{part}_map_interval"] = map_interval(matches)
        fields[f"{part}_share_of_ceiling"] = _share(found, getattr(task.reference.ceiling, f"{part}_map"))
    return fields


def _share(value: float | None, ceiling: float | None) -> float | None:
    return value / ceiling if value is not None and ceiling else None


def _rates(rows: Sequence[ImageRow]) -> dict[str, Any]:
    """Bits of the whole set over its pixels."""
    pixels = sum(row.pixels for row in rows)
    size = sum(row.bytes for row in rows)
    levels = {name: sum(row.bits_level[name] for row in rows) for name in rows[0].bits_level}
    estimated = sum(sum(row.bits_estimated.values()) for row in rows)
    return {
        "pixels": pixels,
        "bpp": rate.bpp(8 * size, pixels),
        "kb_per_image": size / len(rows) / 1000,
        "bpp_estimated": rate.bpp(estimated, pixels) if rows[0].bits_estimated else None,
        "bpp_level": {name: rate.bpp(bits, pixels) for name, bits in levels.items()} or None,
        "bpp_header": rate.bpp(8 * size - sum(levels.values()), pixels) if levels else None,
    }


def _means(rows: Sequence[ImageRow], field: str) -> dict[str, float]:
    """Level → mean over the images that have it, with equal weights."""
    columns = [getattr(row, field) for row in rows]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: statistics.fmean(column[name] for column in columns if name in column) for name in names}
