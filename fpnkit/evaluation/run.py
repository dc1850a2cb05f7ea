"""Evaluate one coder: every image through real bytes on disk, the heads, and the metrics."""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpnkit.codecs.coder import CodedImage, Coder, CoderInput
from fpnkit.data.images import Sample
from fpnkit.evaluation.bench import Transmission
from fpnkit.evaluation.journal import Journal
from fpnkit.evaluation.task import Task
from fpnkit.foundation import clock
from fpnkit.foundation.progress import progress
from fpnkit.metrics import rate
from fpnkit.metrics.bootstrap import map_interval
from fpnkit.metrics.distortion import snr_db
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from fpnkit.metrics.overlaps import KINDS
from fpnkit.pyramid import Pyramid
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

# A payload further from the estimate than this is flagged.
_GAP_SHARE, _GAP_BYTES = 0.01, 8


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

    def reference_variance(self, task: Task) -> Mapping[str, float]:
        """The reference variance for SNR."""
        return task.reference.variance if self.variance is None else self.variance


def evaluate(jobs: Sequence[Job], task: Task) -> list[Summary]:
    """Fill the directory of each job; the detector's backbone runs once per image for all of them.

    Continues an interrupted evaluation, and returns a finished one unchanged. Raises `UserError` if a directory holds
    an evaluation of other images, another detector or another coder.
    """
    with ExitStack() as stack:
        journals = [stack.enter_context(closing(Journal(job.directory, _identity(job, task)))) for job in jobs]
        open_ones = [pair for pair in zip(jobs, journals, strict=True) if not pair[1].finished]
        for job, _ in open_ones:
            (job.directory / STREAMS).mkdir(exist_ok=True)
        first = min((len(journal.rows) for _, journal in open_ones), default=len(task.images))
        for index in progress(range(first, len(task.images)), "images"):
            _one_image(task, task.images[index], [pair for pair in open_ones if len(pair[1].rows) == index])
        for job, journal in open_ones:
            journal.finish(asdict(_summarize(job, task, journal)))
    return [read_summary(job.directory) for job in jobs]


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


def _one_image(task: Task, sample: Sample, waiting: Sequence[tuple[Job, Journal]]) -> None:
    features = task.features(sample)
    source = CoderInput(sample.image, features.pyramid, features.geometry)
    for job, journal in waiting:
        path = job.directory / STREAMS / f"{sample.image_id}{job.coder.suffix}"
        sent = task.send(job.coder, source, path)
        row = _row(sample.image_id, source, sent, job.reference_variance(task))
        journal.add(sample.image_id, asdict(row), sent.detections)


def _row(image_id: int, source: CoderInput, sent: Transmission, variance: Mapping[str, float]) -> ImageRow:
    mse = _mse(source.pyramid, sent.features.pyramid)
    return ImageRow(
        image=image_id,
        width=source.image.shape[2],
        height=source.image.shape[1],
        bytes=len(sent.coded.data),
        bits_level=sent.coded.bits_level,
        bits_estimated=sent.coded.bits_estimated,
        flagged=_flagged(sent.coded),
        mse=mse,
        snr_db={name: snr_db(value / variance[name]) for name, value in mse.items()},
        encode_seconds=sent.encode_seconds,
        decode_seconds=sent.decode_seconds,
    )


def _mse(original: Pyramid, decoded: Pyramid) -> dict[str, float]:
    """Only for levels of the same size: a detector that resizes an already scaled image may round differently."""
    return {
        name: (decoded[name] - level).double().square().mean().item()
        for name, level in original.items()
        if decoded[name].shape == level.shape
    }


def _flagged(coded: CodedImage) -> tuple[str, ...]:
    """Levels whose payload is far from the entropy model's estimate, in either direction."""
    return tuple(
        name
        for name, bits in coded.bits_estimated.items()
        if abs(coded.bits_level[name] - bits) > _GAP_SHARE * bits + 8 * _GAP_BYTES
    )


def _summarize(job: Job, task: Task, journal: Journal) -> Summary:
    rows = [image_row(values) for values in journal.rows]
    reference = task.reference
    matches = match(reference.truth, journal.detections)
    self_matches = match(reference.self_truth, journal.detections)
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
        **_parts(job, task, journal),
        ceiling=ceiling,
        flagged_images=sum(bool(row.flagged) for row in rows),
        encode_seconds=statistics.fmean(row.encode_seconds for row in rows),
        decode_seconds=statistics.fmean(row.decode_seconds for row in rows),
        peak_memory_mb=peak_memory_mb(),
        labels=task.labels,
        **vars(job.origin),
        created=clock.to_text(clock.now()),
        commit=describe_commit(),
    )


def _parts(job: Job, task: Task, journal: Journal) -> dict[str, Any]:
    """AP of masks and keypoints, where detector and set have them."""
    fields: dict[str, Any] = {}
    for part in task.parts:
        matches = match(task.reference.truth, journal.detections, KINDS[part])
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


def peak_memory_mb() -> float:
    """Peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, KiB elsewhere
