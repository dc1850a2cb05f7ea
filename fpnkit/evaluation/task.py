"""What a codec is measured on: a detector, a set of images, and the detector's result without a codec."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnkit.config.schema import CocoData, CodecConfig, DetectorSettings, ImageSource
from fpnkit.data.files import file_identity
from fpnkit.data.images import ImageSet, Sample
from fpnkit.data.test_set import TestSet, build_test_set
from fpnkit.detectors.base import Detections, Detector, also_found
from fpnkit.detectors.build import build_detector
from fpnkit.errors import UserError
from fpnkit.evaluation.bench import Bench
from fpnkit.evaluation.journal import Journal
from fpnkit.foundation import clock
from fpnkit.foundation.files import write_text
from fpnkit.foundation.progress import progress
from fpnkit.metrics.coco_format import GroundTruth, truth_from_coco, truth_to_coco
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


def build_task(config: CodecConfig) -> Task:
    """Detector and test images of a config; measures the ceiling unless it was measured before.

    Raises `ConfigError` without a test set, `DataError` for broken images and labels, `UserError` for a ceiling that
    cannot be.
    """
    detector, measured = open_task(config)
    images = measured.images
    labels = measured.matching
    identity = detector.fingerprint() + _receiver(config.detector, measured.parts)
    key = _key(config.data.require_test(), images, identity, labels)
    bench = Bench(detector, images, detector.fingerprint(), parts=measured.parts)
    folder = layout.home() / "checkpoints" / "ceilings" / f"{images.name}_{detector.name}" / key
    reference = _reference(folder, bench)
    if measured.strict:
        _require_plausible(images, detector, reference.ceiling)
    known = labels if labels.categories else None
    return Task(bench.detector, images, bench.fingerprint, reference, key, known, parts=bench.parts)


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
        digest.update(file_identity(Path(source.annotations)).encode())
    for index in range(len(images)):
        digest.update(f"\n{images.identity(index)}".encode())
    return digest.hexdigest()[:8]


def _reference(folder: Path, bench: Bench) -> Reference:
    with closing(Journal(folder, {})) as journal:
        return _measured(journal, folder, bench)


def _measured(journal: Journal, folder: Path, bench: Bench) -> Reference:
    images = bench.images
    if not journal.finished:
        log.info("measuring the ceiling: %d images without a codec", len(images))
        truth = [GroundTruth.of(images[index]) for index in range(len(journal.rows))]
        todo = range(len(truth), len(images))
        for index in progress(todo, "ceiling"):
            sample = images[index]
            truth.append(GroundTruth.of(sample))
            journal.add(sample.image_id, *_without_codec(bench, sample))
        write_text(folder / _TRUTH, json.dumps(truth_to_coco(truth)) + "\n")
        journal.finish(_summary(journal, truth, bench))
    summary = read_ceiling(folder)
    reference = Reference(
        data_id=summary.data_id,
        truth=truth_from_coco(json.loads((folder / _TRUTH).read_text())),
        detections=journal.detections,
        ceiling=Ceiling(summary.map, summary.map50, summary.mask_map, summary.keypoint_map),
        variance=summary.variance,
    )
    if not (folder / MATCHES).is_file():  # for intervals of what is measured against the ceiling
        match(reference.truth, reference.detections).save(folder / MATCHES)
    for part in bench.parts:
        if not (folder / part_matches(part)).is_file():
            match(reference.truth, reference.detections, KINDS[part]).save(folder / part_matches(part))
    return reference


def _without_codec(bench: Bench, sample: Sample) -> tuple[dict[str, Any], Detections]:
    """A row about one image, and its detections."""
    features = bench.features(sample)
    levels = {name: level.double() for name, level in features.pyramid.items()}
    row = {
        "image": sample.image_id,
        "width": sample.image.shape[2],
        "height": sample.image.shape[1],
        "digest": _digest(sample),
        "mean": {name: level.mean().item() for name, level in levels.items()},
        "square": {name: level.square().mean().item() for name, level in levels.items()},
    }
    return row, bench.detect(features)


def _digest(sample: Sample) -> str:
    digest = hashlib.sha256()
    for tensor in (sample.image, sample.boxes, sample.labels, sample.crowd):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:_ID_DIGITS]


def _summary(journal: Journal, truth: list[GroundTruth], bench: Bench) -> dict[str, Any]:
    scores = average_precision(truth, journal.detections)
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": bench.images.name,
        "data_id": hashlib.sha256("".join(row["digest"] for row in journal.rows).encode()).hexdigest()[:_ID_DIGITS],
        "detector": bench.detector.name,
        "detector_id": bench.fingerprint[:_ID_DIGITS],
        "images": len(journal.rows),
        "pixels": sum(row["width"] * row["height"] for row in journal.rows),
        "map": scores.map,
        "map50": scores.map50,
        **{
            f"{part}_map": average_precision_of(match(truth, journal.detections, KINDS[part])).map
            for part in bench.parts
        },
        "variance": {name: _variance(journal.rows, name) for name in bench.detector.spec.names},
        "created": clock.to_text(clock.now()),
        "commit": describe_commit(),
    }


def _variance(rows: list[dict[str, Any]], level: str) -> float:
    """Mean over images of the squared distance from the overall mean: the cost of decoding only the mean."""
    mean = math.fsum(row["mean"][level] for row in rows) / len(rows)
    square = math.fsum(row["square"][level] for row in rows) / len(rows)
    return square - mean**2
