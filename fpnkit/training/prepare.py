"""Build something trainable from a config, and check everything on the way."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from fpnkit.codecs.base import Codec, Start
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import Calibration, Standardizer, calibrate
from fpnkit.config.schema import CodecConfig, DetectorConfig
from fpnkit.data.build import build_image_sets
from fpnkit.data.cache import FeatureCache
from fpnkit.data.test_set import build_test_set
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector, build_trainable
from fpnkit.detectors.cached import feature_cache
from fpnkit.detectors.device import device_of
from fpnkit.distortions import MseDistortion, SensitivityDistortion, build_distortion, parts_of, require_heads
from fpnkit.errors import ConfigError, UserError
from fpnkit.foundation.progress import Progress
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from fpnkit.training.codec_learner import CodecLearner, objective
from fpnkit.training.curvature import measure_curvature, measure_sensitivity
from fpnkit.training.detector_learner import DetectorLearner, require_labels
from fpnkit.training.losses import Objective
from fpnkit.training.preflight import forecast
from fpnkit.training.ranks import ALONE, Ranks
from fpnkit.training.views import training_views

log = logging.getLogger(__name__)

_DRY_RUN_IMAGES = 8
_CURVATURE_IMAGES = 64


@dataclass(frozen=True)
class Size:
    """What training will write."""

    parameters: int
    cache: Path | None = None  # the root of the feature cache
    cache_bytes: int = 0


def codec_learner(
    config: CodecConfig,
    *,
    resumed: bool = False,
    dry_run: bool = False,
    check: Callable[[Size], None] = lambda size: None,
    ranks: Ranks = ALONE,
) -> CodecLearner:
    """Check data and detector, fill the feature cache, calibrate, and log what the lambda can buy.

    `check` is called before the cache is filled, and may raise. Several `ranks` fill it side by side, and each does all
    the rest.
    """
    device = device_of(config.training.device, "training.device")
    ranks.require_device(device)
    train_set, val_set = build_image_sets(config.data, config.seed)
    for images in (train_set, val_set):
        images.check()
    detector = build_detector(config.detector)
    detector.to(device)
    log.info("detector %s: %s", detector.name, detector.spec)
    if dry_run and config.data.test is not None:  # else a fault in it would show only after training
        measured = build_test_set(config.data, detector.class_names)
        if measured.matching.categories:
            log.info("labels: %s", measured.matching.describe())
    codec = _codec(config, detector)
    train = feature_cache(config.cache, detector, train_set, views=training_views(config.training), read_only=dry_run)
    val = feature_cache(config.cache, detector, val_set, read_only=dry_run)
    plan = train.plan()
    plan_of_val = val.plan(plan.wanted_bytes)
    for name, each in (("training", plan), ("validation", plan_of_val)):
        log.info("%s features: %s", name, each.describe())
    parameters = sum(parameter.numel() for parameter in codec.parameters())
    check(Size(parameters, plan.directory.parent, plan.wanted_bytes + plan_of_val.wanted_bytes))
    if not dry_run:
        _fill(train, "training")
        _fill(val, "validation")
    goal = objective(config, codec, detector)
    torch.manual_seed(config.seed)  # again, because a detector may have drawn random numbers for features
    if not resumed:  # a resumed codec brings its calibration along
        count = _DRY_RUN_IMAGES if dry_run else config.training.calibration_images
        features = Calibrating(train, count, len(train_set), device)
        calibration = calibrate(features)
        codec.standardiser.set(calibration)
        _forecast(config, codec, detector, calibration)
        _measure(config, codec, detector, features, goal)
        _start(config, codec, features, goal)
    log.info("codec %s: %d parameters", config.codec.kind, parameters)
    return CodecLearner(codec, config, train, val, goal, detector.fingerprint(), device, ranks)


def _codec(config: CodecConfig, detector: Detector) -> Codec:
    """The codec, after checking every setting that names levels or strides against the detector."""
    problems: list[str] = []
    spec = detector.spec
    torch.manual_seed(config.seed)
    with _collected(problems):
        codec = build_codec(config.codec, spec)
    with _collected(problems):
        build_distortion(config.loss, spec, detector)
    if config.training.crop % spec.coarsest_stride:
        stride, found = spec.coarsest_stride, config.training.crop
        problems.append(f"training.crop: required a multiple of the coarsest stride, {stride} pixels; found {found}")
    if problems:
        raise ConfigError(problems)
    return codec


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        problems.append(str(error))


def detector_learner(
    config: DetectorConfig, check: Callable[[Size], None] = lambda size: None, ranks: Ranks = ALONE
) -> DetectorLearner:
    """Check data, build the detector with its starting weights. `check` may raise."""
    device = device_of(config.training.device, "training.device")
    ranks.require_device(device)
    train, val = build_image_sets(config.data, config.seed)
    for images in (train, val):
        images.check()
    categories = require_labels(train, val)
    torch.manual_seed(config.seed)
    detector = build_trainable(config.detector, categories)
    log.info("detector %s: %s", detector.name, detector.spec)
    assert detector.trainable is not None
    check(Size(sum(parameter.numel() for parameter in detector.trainable.parameters())))
    return DetectorLearner(detector, config, train, val, device, ranks)


def _fill(cache: FeatureCache, name: str) -> None:
    with Progress(f"{name} features") as counted:
        cache.fill(counted.reach)


class Calibrating:
    """Pyramids of some images, spread over the training set, as often as asked for."""

    def __init__(self, cache: FeatureCache, count: int, images: int, device: torch.device) -> None:
        """`images` as they are come first in the cache, then their other views."""
        count = min(count, images)
        self._cache, self._indices = cache, [index * images // count for index in range(count)]
        self._device = device

    def __iter__(self) -> Iterator[tuple[Pyramid, ImageGeometry]]:
        for index in self._indices:
            features = self._cache.load(index)
            yield features.pyramid, features.geometry

    def few(self) -> Iterator[tuple[Pyramid, ImageGeometry]]:
        """On the detector's device, for what needs its heads."""
        for pyramid, geometry in itertools.islice(self, _CURVATURE_IMAGES):
            yield Pyramid({name: level.to(self._device) for name, level in pyramid.items()}), geometry

    def standardiser(self, codec: Codec) -> Standardizer:
        """The codec's, on the detector's device."""
        return copy.deepcopy(codec.standardiser).to(self._device)


def _measure(config: CodecConfig, codec: Codec, detector: Detector, features: Calibrating, goal: Objective) -> None:
    """Set what the objective takes from the detector's heads."""
    for part in parts_of(goal.distortion):
        if isinstance(part, SensitivityDistortion):
            scale = features.standardiser(codec)
            curvature = measure_sensitivity(require_heads(detector), features.few(), scale, config.seed)
            part.set(curvature, codec.standardiser.deviation)


def _start(config: CodecConfig, codec: Codec, features: Calibrating, goal: Objective) -> None:
    """Let a codec that can take a start from statistics do so."""
    if type(codec).start is Codec.start:
        return
    curvature = measure_curvature(goal.distortion, features.few(), features.standardiser(codec), config.seed)
    codec.start(Start(lambda: features, curvature, config.lambdas))


def _forecast(config: CodecConfig, codec: Codec, detector: Detector, calibration: Calibration) -> None:
    distortion = build_distortion(config.loss, codec.spec, detector)
    if not isinstance(distortion, MseDistortion):
        return  # what another one is worth in bits is not known before training
    result = forecast(config.loss.lmbda, distortion, calibration)
    log.info("%s", result.describe(config.loss.lmbda))
    if result.collapses:
        log.warning("%s", result.warning(config.loss.lmbda), extra={"kind": "collapse"})
