"""A run that can code, without the minutes of its training."""

from pathlib import Path

import torch

from fpnkit.codecs.build import build_codec
from fpnkit.codecs.saved import codec_content
from fpnkit.config.load import plain, to_yaml, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.detectors.build import build_detector
from fpnkit.runs.record import ConfigSummary
from fpnkit.runs.writer import RunWriter
from fpnkit.training.checkpoint import save_best


def _config(channels: int) -> CodecConfig:
    config = validate(
        {
            "task": "fpn_compression",
            "detector": {"kind": "shapes_fcos"},
            "data": {"train": {"kind": "shapes", "images": 9}},
            "codec": {"kind": "factorized", "channels": channels, "latent_channels": 3},
            "loss": {"lambda": 0.01},
            "training": {"epochs": 1, "device": "cpu"},
        }
    )
    assert isinstance(config, CodecConfig)
    return config


def write_run(base_dir: Path, channels: int) -> Path:
    """A run of the built-in detector whose codec has seen no training, but can code."""
    config = _config(channels)
    detector = build_detector(config.detector)
    torch.manual_seed(0)
    codec = build_codec(config.codec, detector.spec).eval()
    codec.update_tables()
    run = RunWriter.create(
        base_dir,
        kind="fpn_compression",
        config_yaml=to_yaml(plain(config)),
        summary=ConfigSummary(lmbda=0.01, lr=1e-4, batch_size=channels, codec="factorized"),
        epochs=1,
        argv=["train"],
    )
    content = {**codec_content(codec, config, detector.fingerprint()), "epoch": 1, "loss": 0.5, "metrics": {}}
    file = save_best(run.path, 1, 0.5, content, keep=1)
    run.best(epoch=1, loss=0.5, file=file, metrics={}, model_hash=content["model_hash"])
    run.end("finished", 0)
    return run.path
