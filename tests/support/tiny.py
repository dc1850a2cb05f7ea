"""A codec so small, on features so few, that a whole training takes a second."""

from pathlib import Path

import torch

from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import calibrate
from fpnkit.config.load import plain, to_yaml, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.data.cache import FeatureCache
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detector
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from fpnkit.runs.record import ConfigSummary
from fpnkit.runs.writer import RunWriter
from fpnkit.training.codec_learner import CodecLearner, objective

SPEC = PyramidSpec((LevelSpec("p2", 4, 4), LevelSpec("p3", 4, 8)))
CPU = torch.device("cpu")


def config(**training: object) -> CodecConfig:
    settings = {"epochs": 3, "batch_size": 2, "crop": 48, "log_every": 3, "lr": 1e-3, "device": "cpu", **training}
    result = validate(
        {
            "task": "fpn_compression",
            "detector": {"kind": "plugin", "name": "none"},
            "data": {"train": {"kind": "shapes", "images": 9}},
            "codec": {"kind": "factorized", "channels": 4, "latent_channels": 3},
            "loss": {"lambda": 0.01},
            "training": settings,
        }
    )
    assert isinstance(result, CodecConfig)
    return result


def features(seed: int) -> Features:
    generator = torch.Generator().manual_seed(seed)
    height, width = 64 + 8 * (seed % 3), 72
    levels = {
        level.name: torch.randn(1, level.channels, height // level.stride, width // level.stride, generator=generator)
        for level in SPEC.levels
    }
    return Features(Pyramid(levels), ImageGeometry((height, width), (height, width), (height, width)))


def cache(folder: Path, first: int, count: int) -> FeatureCache:
    seeds = range(first, first + count)
    return FeatureCache(folder, "tiny", SPEC, [str(seed) for seed in seeds], lambda i: features(seeds[i]), 10**9)


def learner(
    settings: CodecConfig, folder: Path, fingerprint: str = "f" * 64, detector: Detector | None = None
) -> CodecLearner:
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    train, val = cache(folder / "features", 0, 9), cache(folder / "features", 100, 3)
    codec = build_codec(settings.codec, SPEC)
    loaded = [train.load(index) for index in range(len(train))]
    codec.standardiser.set(calibrate((each.pyramid, each.geometry) for each in loaded))
    return CodecLearner(codec, settings, train, val, objective(settings, codec, detector), fingerprint, CPU)


def run(settings: CodecConfig, folder: Path) -> RunWriter:
    return RunWriter.create(
        folder / "runs",
        kind="fpn_compression",
        config_yaml=to_yaml(plain(settings)),
        summary=ConfigSummary(lmbda=settings.loss.lmbda, lr=settings.training.lr, batch_size=2, codec="factorized"),
        epochs=settings.training.epochs,
        argv=["train"],
    )
