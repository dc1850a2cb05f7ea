"""Trained codecs on disk, and the hash that identifies the model of a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.config.load import shown_settings, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import UserError, WeightsError
from fpnkit.pyramid import LevelSpec, PyramidSpec
from fpnkit.torch_files import load_checkpoint

_HASH_BYTES = 4


def model_hash(weights: Mapping[str, Tensor]) -> str:
    """8 hex digits of a SHA-256 over a codec's `state_dict`: tables, weights and standardiser.

    It covers, in order of names, each tensor's name, type and shape as text, then its bytes; neither the device nor the
    file matters.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[: 2 * _HASH_BYTES]


@dataclass(frozen=True)
class TrainedCodec:
    """A codec from a checkpoint, in evaluation mode, ready to encode and decode."""

    codec: Codec
    config: CodecConfig
    detector_fingerprint: str
    epoch: int
    hash: str  # 8 hex digits; the model's streams carry it

    def require_detector(self, owner: str, detector: str, fingerprint: str) -> None:
        """Raise `WeightsError`, about the `owner` of this codec, unless it was trained for this detector."""
        if fingerprint != self.detector_fingerprint:
            raise WeightsError(
                f"{owner}: required the detector it was trained with (fingerprint {self.detector_fingerprint[:8]}), "
                f"found another one ({detector}, {fingerprint[:8]})"
            )


def codec_content(codec: Codec, config: CodecConfig, detector_fingerprint: str) -> dict[str, Any]:
    """What a checkpoint needs to build the codec again without its detector."""
    return {
        "kind": "fpn_compression",
        "config": shown_settings(config),
        "spec": [[level.name, level.channels, level.stride] for level in codec.spec.levels],
        "detector_fingerprint": detector_fingerprint,
        "model_hash": model_hash(codec.state_dict()),
        "state_dict": codec.state_dict(),
    }


def load_codec(path: Path) -> TrainedCodec:
    """The codec of a `best_model*.pth`; raises `WeightsError`."""
    content = load_checkpoint(path, "fpn_compression")
    config = validate(content["config"])
    assert isinstance(config, CodecConfig)
    codec = build_codec(config.codec, PyramidSpec(tuple(LevelSpec(*level) for level in content["spec"])))
    codec.load_state_dict(content["state_dict"])
    fingerprint, digest = content["detector_fingerprint"], model_hash(codec.state_dict())
    return TrainedCodec(codec.eval(), config, fingerprint, content["epoch"], digest)


def on_device(trained: TrainedCodec, owner: str, device: torch.device) -> TrainedCodec:
    """The codec itself, moved. Raises `UserError`, about its `owner`, if the device lacks the numbers that it needs."""
    needs_float64 = any(each.dtype == torch.float64 for each in trained.codec.state_dict().values())
    if device.type == "mps" and needs_float64:
        raise UserError(f"{owner}: required a device that has float64, as {trained.config.codec.kind} needs, found mps")
    trained.codec.to(device)
    return trained
