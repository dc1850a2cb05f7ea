"""Build something trainable from a config, and check everything on the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tqdm import tqdm

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import Calibration, calibrate
from fpnkit.config.schema import CodecConfig, DetectorConfig
from fpnkit.data.build import build_image_sets
from fpnkit.data.cache import FeatureCache
from fpnkit.detectors.build import build_detector, build_trainable
from fpnkit.detectors.cached import feature_cache
from fpnkit.errors import ConfigError, UserError
from fpnkit.pyramid import PyramidSpec
from fpnkit.training.codec_learner import CodecLearner
from fpnkit.training.detector_learner import DetectorLearner, require_labels
from fpnkit.training.losses import MseDistortion, build_distortion
from fpnkit.training.preflight import forecast

log = logging.getLogger(__name__)

_DRY_RUN_IMAGES = 8


def codec_learner(config: CodecConfig, *, resumed: bool = False, dry_run: bool = False) -> CodecLearner:
    """Check data and detector, fill the feature cache, calibrate, and log what the lambda can buy."""
    device = device_of(config.training.device)
    train_set, val_set = build_image_sets(config.data, config.seed)
    for images in (train_set, val_set):
        images.check()
    detector = build_detector(config.detector)
    detector.to(device)
    log.info("detector %s: %s", detector.name, detector.spec)
    codec = _codec(config, detector.spec)
    train, val = (feature_cache(config.cache, detector, images, read_only=dry_run) for images in (train_set, val_set))
    for name, cache in (("training", train), ("validation", val)):
        log.info("%s features: %s", name, cache.plan().describe())
        if not dry_run:
            _fill(cache, name)
    torch.manual_seed(config.seed)  # again, because a detector may have drawn random numbers for features
    if not resumed:  # a resumed codec brings its calibration along
        count = _DRY_RUN_IMAGES if dry_run else config.training.calibration_images
        calibration = _calibrate(train, count)
        codec.standardiser.set(calibration)
        _forecast(config, codec.spec, calibration)
    log.info("codec %s: %d parameters", config.codec.kind, sum(parameter.numel() for parameter in codec.parameters()))
    return CodecLearner(codec, config, train, val, detector.fingerprint(), device)


def _codec(config: CodecConfig, spec: PyramidSpec) -> Codec:
    """The codec, after checking every setting that names levels or strides against the detector."""
    problems: list[str] = []
    torch.manual_seed(config.seed)
    with _collected(problems):
        codec = build_codec(config.codec, spec)
    with _collected(problems):
        build_distortion(config.loss, spec)
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


def detector_learner(config: DetectorConfig) -> DetectorLearner:
    """Check data, build the detector with its starting weights."""
    device = device_of(config.training.device)
    train, val = build_image_sets(config.data, config.seed)
    for images in (train, val):
        images.check()
    categories = require_labels(train, val)
    torch.manual_seed(config.seed)
    detector = build_trainable(config.detector, categories)
    log.info("detector %s: %s", detector.name, detector.spec)
    return DetectorLearner(detector, config, train, val, device)


def device_of(setting: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU; raises `UserError` for a missing one."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if setting == "auto":
        return torch.device(next(name for name, available in there.items() if available))
    if not there[setting]:
        found = ", ".join(name for name, available in there.items() if available)
        raise UserError(f"training.device: required {setting}, found only {found}")
    return torch.device(setting)


def _fill(cache: FeatureCache, name: str) -> None:
    with tqdm(desc=f"{name} features", unit="image", disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        cache.fill(progress)


def _calibrate(cache: FeatureCache, images: int) -> Calibration:
    count = min(images, len(cache))
    spread = (index * len(cache) // count for index in range(count))
    return calibrate((features.pyramid, features.geometry) for features in map(cache.load, spread))


def _forecast(config: CodecConfig, spec: PyramidSpec, calibration: Calibration) -> None:
    distortion = build_distortion(config.loss, spec)
    if not isinstance(distortion, MseDistortion):
        return  # what another one is worth in bits is not known before training
    result = forecast(config.loss.lmbda, distortion, calibration)
    log.info("%s", result.describe(config.loss.lmbda))
    if result.collapses:
        log.warning("%s", result.warning(config.loss.lmbda), extra={"kind": "collapse"})
