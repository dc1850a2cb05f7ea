"""Compute the tables of an analysis in passes over the images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import torch

from fpnkit.analysis.parts import Tables
from fpnkit.analysis.statistics.histogram import LevelHistograms
from fpnkit.analysis.statistics.latents import LatentStatistics
from fpnkit.analysis.statistics.loss import ErrorStatistics
from fpnkit.analysis.statistics.moments import FeatureStatistics
from fpnkit.analysis.statistics.objects import OBJECT_COLUMNS, object_rows
from fpnkit.analysis.statistics.relations import LevelRelations
from fpnkit.analysis.statistics.sensitivity import level_sensitivity, metrics
from fpnkit.analysis.statistics.spectrum import RadialSpectrum
from fpnkit.analysis.subject import CachedBench, Subject
from fpnkit.codecs.base import Codec, InspectableCodec
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.detection import SELF_MAP_SCORE, self_truth
from fpnkit.pyramid import Pyramid

log = logging.getLogger(__name__)


def feature_tables(subject: Subject) -> Tables:
    """Statistics of the uncompressed features."""
    codec, bench = subject.trained.codec, subject.bench
    scale = codec.standardiser
    statistics, relations, spectrum = FeatureStatistics(codec.spec), LevelRelations(codec.spec), RadialSpectrum()
    histograms = LevelHistograms(codec.spec, scale.mean, scale.deviation)
    for _, features in bench.each("features"):
        for each in (statistics, relations, spectrum, histograms):
            each.update(features.pyramid)
    return {
        "channels": statistics.channels(),
        "levels": statistics.levels(),
        "eigenvalues": statistics.eigenvalues(),
        "correlations": statistics.correlations(),
        "level_relations": relations.table(),
        "spectrum": spectrum.table(),
        "histogram": histograms.table(),
        "histogram_fits": histograms.fits(),
    }


@torch.no_grad()
def codec_tables(subject: Subject) -> Tables:
    """Bits, errors and detections of each image, from real payloads that are decoded again."""
    codec, bench = subject.trained.codec, subject.bench
    latents, errors, spectrum = LatentStatistics(), ErrorStatistics(), RadialSpectrum()
    bits: list[dict[str, Any]] = []
    objects: list[dict[str, object]] = []
    truth, before, after = [], [], []
    for index, features in bench.each("codec"):
        sample = bench.images[index]
        image, sent = GroundTruth.of(sample), subject.send(sample.image, features)
        decoded = sent.features.pyramid
        if (coded := subject.coded_latents(features)) is not None:
            latents.update(coded)
        errors.update(features.pyramid, decoded)
        spectrum.update(_difference(features.pyramid, decoded))
        for name, payload_bits in sent.coded.bits_level.items():
            bits.append(
                {
                    "image": image.image_id,
                    "level": name,
                    "pixels": features.original_pixels,
                    "estimated_bits": sent.coded.bits_estimated[name],
                    "payload_bits": payload_bits,
                }
            )
        clean = bench.detect(features)
        objects += object_rows(image, clean, sent.detections, SELF_MAP_SCORE, bench.categories)
        truth.append(image)
        before.append(clean)
        after.append(sent.detections)
    return {
        "image_bits": pd.DataFrame(bits),
        **_latent_tables(codec, latents),
        "channel_loss": errors.channels(),
        "level_loss": errors.levels(codec.standardiser.variance()),
        "error_spectrum": spectrum.table(),
        "objects": pd.DataFrame(objects, columns=list(OBJECT_COLUMNS)),
        "task": _task(truth, before, after),
    }


def _latent_tables(codec: Codec, latents: LatentStatistics) -> Tables:
    """Tables of latents, if the codec exposes them."""
    if not isinstance(codec, InspectableCodec):
        log.info("the codec does not show its latents: no tables and figures of them")
        return {}
    _tell_of_dead_levels(latents.channels())
    return {"latent_channels": latents.channels(), "latent_histogram": latents.histogram(codec)}


def _tell_of_dead_levels(channels: pd.DataFrame) -> None:
    for level, dead in channels.groupby("level", sort=False)["dead"]:
        if dead.all():
            log.warning("level %s: all %d latent channels are dead; nothing of it is transmitted", level, len(dead))


def _task(truth: list[GroundTruth], before: list[Detections], after: list[Detections]) -> pd.DataFrame:
    """AP against labels and against the detector itself, without and with the codec."""
    kinds = {"map": truth, "self_map": self_truth(truth, before)}
    rows = [("uncompressed", before), ("decoded", after)]
    return pd.DataFrame([{"features": name} | metrics(kinds, found) for name, found in rows])


Uncompressed = tuple[list[GroundTruth], list[Detections]]  # labels, and what is found without a codec


def sensitivity_tables(subject: Subject, level: str, uncompressed: Uncompressed) -> Tables:
    """Accuracy with noise on one level; the row with infinite SNR has no noise."""
    bench, (truth, clean) = subject.bench, uncompressed
    position = subject.trained.codec.spec.names.index(level)
    deviation = float(subject.trained.codec.standardiser.deviation[position])
    kinds = {"map": truth, "self_map": self_truth(truth, clean)}

    def features() -> Iterator[Features]:
        for _, each in bench.each(f"noise on {level}"):
            yield each

    seed = subject.trained.config.seed
    table = level_sensitivity(bench.detector, features(), level, deviation, kinds, seed=seed, device=bench.device)
    without = pd.DataFrame([{"level": level, "snr_db": float("inf")} | metrics(kinds, clean)])
    return {f"sensitivity_{level}": pd.concat([without, table], ignore_index=True)}


def uncompressed_of(bench: CachedBench) -> Uncompressed:
    """Labels, and detections on uncompressed features."""
    truth, found = [], []
    for index, features in bench.each("detections"):
        truth.append(GroundTruth.of(bench.images[index]))
        found.append(bench.detect(features))
    return truth, found


def _difference(original: Pyramid, decoded: Mapping[str, torch.Tensor]) -> Pyramid:
    return Pyramid({name: decoded[name] - level for name, level in original.items()})
