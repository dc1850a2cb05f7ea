"""What a codec is measured on: a detector, a set of images, and the detector's result without a codec."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fpnkit.config.schema import CocoData, CodecConfig, DetectorSettings, ImageSource
from fpnkit.data.files import file_identity
from fpnkit.data.images import ImageSet, Sample
from fpnkit.data.test_set import TestSet, build_test_set
from fpnkit.detectors.base import Detections, Detector, also_found
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.device import CPU
from fpnkit.detectors.plugin import is_given
from fpnkit.errors import UserError
from fpnkit.evaluation.bench import Bench
from fpnkit.evaluation.crew import count_of_workers
from fpnkit.evaluation.image import float64
from fpnkit.evaluation.journal import Journal
from fpnkit.evaluation.recipes import BenchRecipe, spread
from fpnkit.foundation import clock
from fpnkit.foundation.files import parse_json, write_text
from fpnkit.foundation.progress import Progress
from fpnkit.metrics.coco_format import GroundTruth, detections_to_coco, truth_from_coco, truth_to_coco
from fpnkit.metrics.detection import average_precision, self_truth
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from fpnkit.metrics.overlaps import KINDS
from fpnkit.runs import layout
from fpnkit.runs.provenance import describe_commit
from fpnkit.runs.results import MATCHES, SCHEMA_VERSION, Ceiling, Matching, Part, part_matches, read_ceiling

log = logging.getLogger(__name__)

_LOWEST_CEILING = 0.05  # self-mAP is 1 without a codec, and what detectors find is not all wrong
_TRUTH = "truth.json"
_ID_DIGITS = 16


@dataclass(frozen=True)
class Reference:
    """The detector's result on uncompressed features, and the labels it is measured against."""

    data_id: str  # of pixels, boxes and order of the images: equal on every machine
    truth: list[GroundTruth]
    detections: list[Detections]
    ceiling: Ceiling
    variance: Mapping[str, float]  # of each level over the set, each image weighing the same

    @property
    def self_truth(self) -> list[GroundTruth]:
        """The detector's own confident detections, used as labels."""
        return self_truth(self.truth, self.detections)


@dataclass(frozen=True)
class Task(Bench):
    """A bench with a known ceiling."""

    reference: Reference
    key: str  # of detector and files, for directories
    labels: Matching | None  # of the data set and the detector; None: nothing is labeled
    recipe: BenchRecipe | None = field(default=None, kw_only=True)  # of the bench; None: it cannot leave this process

    @property
    def detector_id(self) -> str:
        """The start of the detector's fingerprint, as written in results."""
        return self.fingerprint[:_ID_DIGITS]

    @property
    def folder_name(self) -> str:
        """`<dataset>_<detector>`."""
        return f"{self.images.name}_{self.detector.name}"


def open_task(config: CodecConfig) -> tuple[Detector, TestSet]:
    """What there is to measure with and on, before anything is measured. Raises as `build_task` does."""
    detector = build_detector(config.detector)
    measured = build_test_set(config.data, detector.class_names, also_found(detector))
    if measured.matching.categories:
        log.info("labels: %s", measured.matching.describe())
    return detector, measured


def build_task(config: CodecConfig, *, device: torch.device = CPU, workers: int | None = 1) -> Task:
    """Detector and test images of a config; measures the ceiling unless it was measured before.

    `workers` as in `run.evaluate`. Raises `ConfigError` without a test set, `DataError` for broken images and labels,
    `UserError` for a ceiling that cannot be.
    """
    detector, measured = open_task(config)
    images, labels, fingerprint = measured.images, measured.matching, detector.fingerprint()
    source = config.data.require_test()
    key = key_of(config, detector, measured)
    detector.to(device)
    bench = Bench(detector, images, fingerprint, device=device, parts=measured.parts)
    recipe = BenchRecipe(config.detector, source, labels, fingerprint, device, measured.parts)
    portable = None if is_given(config.detector) else recipe
    folder = layout.home() / "checkpoints" / "ceilings" / f"{images.name}_{detector.name}" / key
    reference = _reference(folder, bench, portable, workers)
    if measured.strict:
        _require_plausible(images, detector, reference.ceiling)
    matching = labels if labels.categories else None
    return Task(
        detector,
        images,
        fingerprint,
        reference,
        key,
        matching,
        device=device,
        parts=measured.parts,
        recipe=portable,
    )


def key_of(config: CodecConfig, detector: Detector, measured: TestSet) -> str:
    """`Task.key` of what `open_task` gave."""
    fingerprint = detector.fingerprint() + _receiver(config.detector, measured.parts)
    return _key(config.data.require_test(), measured.images, fingerprint, measured.matching)


def _require_plausible(images: ImageSet, detector: Detector, ceiling: Ceiling) -> None:
    """Raise `UserError` for a ceiling that no detector worth measuring has."""
    if ceiling.map is None or ceiling.map >= _LOWEST_CEILING:
        return
    required = f"mAP of at least {100 * _LOWEST_CEILING:g} without a codec, found {100 * ceiling.map:.1f}"
    raise UserError(
        f"{images.name} with {detector.name}: required {required}. The likeliest reasons: boxes in other units, or of "
        "images of another size; categories that mean something else to the detector; weights or preprocessing of "
        "another detector. annotations_check: off beside the annotations measures all the same"
    )


def _receiver(settings: DetectorSettings, parts: Sequence[Part]) -> str:
    """What changes detections but no features, and so is not in the fingerprint."""
    given = settings.model_dump(include={"score_threshold"}, exclude_defaults=True)
    scored = [f" scores {part}" for part in parts]  # of older ceilings, only boxes were kept
    return "".join([*(f" {name} {value}" for name, value in given.items()), *scored])


def _key(source: ImageSource, images: ImageSet, fingerprint: str, matching: Matching) -> str:
    digest = hashlib.sha256(fingerprint.encode())
    if matching.changes:
        digest.update(f"{sorted(matching.ids.items())}".encode())
    if isinstance(source, CocoData):
        digest.update(os.fsencode(file_identity(Path(source.annotations))))
    for index in range(len(images)):
        digest.update(os.fsencode(f"\n{images.identity(index)}"))
    return digest.hexdigest()[:8]


def _reference(folder: Path, bench: Bench, recipe: BenchRecipe | None, workers: int | None) -> Reference:
    with closing(Journal(folder, {}, bench.device.type)) as journal:
        return _measured(journal, bench, recipe, workers)


def _measured(journal: Journal, bench: Bench, recipe: BenchRecipe | None, workers: int | None) -> Reference:
    images, folder = bench.images, journal.directory
    if not journal.finished:
        log.info("measuring the ceiling: %d images without a codec", len(images))
        truth = [GroundTruth.of(images[index]) for index in range(len(journal))]
        todo = range(len(truth), len(images))
        count = count_of_workers(workers, len(todo), bench.device, portable=recipe is not None)
        make = functools.partial(_Plain, bench) if count == 1 or recipe is None else _PlainRecipe(recipe)
        with closing(spread(make, todo, count)) as results, Progress("ceiling", len(todo)) as counted:
            for own, row, boxes in results:
                truth.append(own)
                journal.add(row, boxes)
                counted.step()
        assert len(truth) == len(journal) == len(images)
        write_text(folder / _TRUTH, json.dumps(truth_to_coco(truth)) + "\n")
        journal.finish(_summary(journal, truth, bench))
    summary = read_ceiling(folder)
    reference = Reference(
        data_id=summary.data_id,
        truth=truth_from_coco(parse_json((folder / _TRUTH).read_text())),
        detections=journal.detections(),
        ceiling=Ceiling(summary.map, summary.map50, summary.mask_map, summary.keypoint_map),
        variance=summary.variance,
    )
    if not (folder / MATCHES).is_file():  # for intervals of what is measured against the ceiling
        match(reference.truth, reference.detections).save(folder / MATCHES)
    for part in bench.parts:
        if not (folder / part_matches(part)).is_file():
            match(reference.truth, reference.detections, KINDS[part]).save(folder / part_matches(part))
    return reference


@dataclass(frozen=True)
class _Plain:
    """An image without a codec, in whichever process."""

    bench: Bench

    def __call__(self, index: int) -> tuple[GroundTruth, dict[str, Any], list[dict[str, Any]]]:
        """Labels, a row about the image, and its boxes."""
        sample = self.bench.images[index]
        return GroundTruth.of(sample), *_without_codec(self.bench, sample)


@dataclass(frozen=True)
class _PlainRecipe:
    bench: BenchRecipe

    def __call__(self) -> _Plain:
        return _Plain(self.bench.build())


def _without_codec(bench: Bench, sample: Sample) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A row about one image, and its boxes."""
    features = bench.features(sample)
    levels = {name: float64(level) for name, level in features.pyramid.items()}
    row = {
        "image": sample.image_id,
        "width": sample.image.shape[2],
        "height": sample.image.shape[1],
        "digest": _digest(sample),
        "mean": {name: level.mean().item() for name, level in levels.items()},
        "square": {name: level.square().mean().item() for name, level in levels.items()},
    }
    return row, detections_to_coco(sample.image_id, bench.detect(features))


def _digest(sample: Sample) -> str:
    digest = hashlib.sha256()
    for tensor in (sample.image, sample.boxes, sample.labels, sample.crowd):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:_ID_DIGITS]


def _summary(journal: Journal, truth: list[GroundTruth], bench: Bench) -> dict[str, Any]:
    rows, found = journal.rows(), journal.detections()
    scores = average_precision(truth, found)
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": bench.images.name,
        "data_id": hashlib.sha256("".join(row["digest"] for row in rows).encode()).hexdigest()[:_ID_DIGITS],
        "detector": bench.detector.name,
        "detector_id": bench.fingerprint[:_ID_DIGITS],
        "images": len(rows),
        "pixels": sum(row["width"] * row["height"] for row in rows),
        "map": scores.map,
        "map50": scores.map50,
        **{f"{part}_map": average_precision_of(match(truth, found, KINDS[part])).map for part in bench.parts},
        "variance": {name: _variance(rows, name) for name in bench.detector.spec.names},
        "created": clock.to_text(clock.now()),
        "commit": describe_commit(),
    }


def _variance(rows: list[dict[str, Any]], level: str) -> float:
    """Mean over images of the squared distance from the overall mean: the cost of decoding only the mean."""
    mean = math.fsum(row["mean"][level] for row in rows) / len(rows)
    square = math.fsum(row["square"][level] for row in rows) / len(rows)
    return square - mean**2
