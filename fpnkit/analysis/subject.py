"""What is analyzed: a trained codec, the detector it serves, and images."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fpnkit.codecs.base import CodedLatents, InspectableCodec
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec, on_device
from fpnkit.config.curve import middle
from fpnkit.config.load import plain
from fpnkit.config.schema import CocoData, CodecConfig, HoldoutData
from fpnkit.data.build import build_image_set, build_image_sets
from fpnkit.data.cache import FeatureCache
from fpnkit.data.files import file_identity
from fpnkit.data.images import ImageSet
from fpnkit.data.test_set import in_terms_of
from fpnkit.data.windows import Features
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.cached import feature_cache
from fpnkit.detectors.device import CPU
from fpnkit.errors import ConfigError, RunError
from fpnkit.evaluation.bench import Bench, Transmission
from fpnkit.foundation.progress import progress
from fpnkit.foundation.steps import Tell, nobody
from fpnkit.runs import layout
from fpnkit.runs.results import Matching
from fpnkit.runs.trained import TrainedRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedBench(Bench):
    """A bench with the feature cache of training."""

    indices: tuple[int, ...]  # of the images looked at, spread over the set
    cache: FeatureCache
    split: str
    images_id: str  # 16 hex: of the images looked at and their labels

    def cached(self, index: int) -> Features:
        """Uncompressed features of one image, in float16 precision."""
        return self.cache.load(index)

    def each(self, what: str) -> Iterator[tuple[int, Features]]:
        """Index and features of each image, with a progress bar."""
        for index in progress(self.indices, what):
            yield index, self.cached(index)


@dataclass(frozen=True)
class Subject:
    """A run's best codec, with its detector and images."""

    run: Path
    trained: TrainedCodec
    bench: CachedBench
    quality: float | None = None  # of a codec of several rates

    @property
    def lmbda(self) -> float:
        """At the quality."""
        return self.trained.config.lmbda_at(self.quality)

    def coded_latents(self, features: Features) -> Mapping[str, CodedLatents] | None:
        """Level → what is coded of one image, and its cost; None if the codec does not show it."""
        codec = self.trained.codec
        if not isinstance(codec, InspectableCodec):
            return None
        coded = codec.coded_latents(features.pyramid.to(self.bench.device), features.geometry, self.quality)
        return {name: each.to(CPU) for name, each in coded.items()}

    def send(self, image: Tensor, features: Features, tell: Tell = nobody) -> Transmission:
        """Encode one image to a file and decode it; features on the CPU, whatever device codes them."""
        source = CoderInput(image, features.pyramid.to(self.bench.device), features.geometry)
        sent = self.bench.send(LearnedCoder(self.trained, self.quality), source, tell=tell)
        return replace(sent, features=replace(sent.features, pyramid=sent.features.pyramid.to(CPU)))

    @property
    def facts(self) -> Mapping[str, Any]:
        """Everything that numbers about the codec depend on."""
        quality = {} if self.quality is None else {"quality": self.quality}
        return {"checkpoint": self.trained.hash, **quality, **feature_facts(self.bench)}


def feature_facts(bench: CachedBench) -> Mapping[str, Any]:
    """Everything that numbers about the uncompressed features depend on."""
    return {"detector": bench.fingerprint[:16], "images": bench.images_id, "count": len(bench.indices)}


def build_bench(config: CodecConfig, split: str, count: int, device: torch.device = CPU) -> CachedBench:
    """Raises `ConfigError` without a test set, `DataError` for images that are missing or broken."""
    images = _images(config, split)
    count = min(count, len(images))
    indices = tuple(index * len(images) // count for index in range(count))
    images.check(indices)
    detector = build_detector(config.detector)
    images, labels = in_terms_of(detector.class_names, images, config.data)
    detector.to(device)
    cache = feature_cache(config.cache, detector, images)
    identity = _identity(config, split, images, indices, labels)
    return CachedBench(detector, images, detector.fingerprint(), indices, cache, split, identity, device=device)


def _images(config: CodecConfig, split: str) -> ImageSet:
    if split == "val":
        return build_image_sets(config.data, config.seed)[1]
    if config.data.test is None:
        raise ConfigError(
            ["data.test: required the images of --split test, found none; --set data.test.kind=… adds them"]
        )
    return build_image_set(config.data.test)


def _identity(config: CodecConfig, split: str, images: ImageSet, indices: tuple[int, ...], matching: Matching) -> str:
    source = getattr(config.data, split)
    source = config.data.train if isinstance(source, HoldoutData) else source
    labels = file_identity(Path(source.annotations)) if isinstance(source, CocoData) else ""
    renamed = [f"{sorted(matching.ids.items())}"] if matching.changes else []
    texts = [labels, *renamed, *(images.identity(index) for index in indices)]
    return hashlib.sha256(os.fsencode("\n".join(texts))).hexdigest()[:16]


def load_subject(run: Path, bench: CachedBench, quality: float | None = None) -> Subject:
    """The best codec of a run, by default in the middle of its curve.

    Raises `WeightsError` if it was trained for another detector.
    """
    trained = on_device(load_codec(run / layout.BEST_MODEL), f"run {run}", bench.device)
    trained.require_detector(f"run {run}", bench.detector.name, bench.fingerprint)
    log.info("run %s: best model of epoch %d, hash %s", run.name, trained.epoch, trained.hash)
    return Subject(run, trained, bench, middle(trained.config.qualities) if quality is None else quality)


def bench_key(config: CodecConfig, split: str) -> str:
    """Equal for configs whose codecs can share detector and images."""
    settings = plain(config)
    return str((settings["detector"], settings["data"], settings["seed"], split))


def load_subjects(
    candidates: Sequence[TrainedRun],
    split: str,
    count: int,
    quality: float | None = None,
    device: torch.device = CPU,
) -> list[Subject]:
    """The best codec of each run on the same images.

    Raises `UserError` for a quality that a codec does not have, `RunError` if detectors or images differ, and what
    `build_bench` and `load_subject` raise.
    """
    qualities = [candidate.chosen([quality])[0] if quality is not None else None for candidate in candidates]
    benches: dict[str, CachedBench] = {}
    subjects: list[Subject] = []
    for candidate, chosen in zip(candidates, qualities, strict=True):
        key = bench_key(candidate.config, split)
        if key not in benches:
            benches[key] = build_bench(candidate.config, split, count, device)
        subjects.append(load_subject(candidate.path, benches[key], chosen))
    first = subjects[0]
    for other in subjects[1:]:
        if feature_facts(other.bench) != feature_facts(first.bench):
            raise RunError(
                f"runs to compare: required one detector and the same images, found {_describe(first)} in "
                f"{first.run.name} and {_describe(other)} in {other.run.name}"
            )
    return subjects


def _describe(subject: Subject) -> str:
    bench = subject.bench
    names = f"{bench.detector.name} ({bench.fingerprint[:8]}), {len(bench.indices)} images"
    return f"{names} of {bench.images.name} ({bench.images_id[:8]})"
