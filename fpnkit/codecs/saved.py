"""Trained codecs on disk, and the hash that identifies the model of a stream."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.rans import CodingTables, require_sound
from fpnkit.config.load import shown_settings, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import UserError, WeightsError
from fpnkit.pyramid import LevelSpec, PyramidSpec
from fpnkit.torch_files import load_checkpoint, shown

_HASH_BYTES = 4
_MOST = 65536  # channels, and cells that a stride covers
_BESIDE = 10_000_000  # numbers of a codec that are not stored
_CONTENT = ("config", "spec", "detector_fingerprint", "epoch", "state_dict")


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
    """The codec of a `best_model*.pth`; raises `WeightsError` for anything that none could have."""
    content = load_checkpoint(path, "fpn_compression")
    try:
        return _trained(content)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def on_device(trained: TrainedCodec, owner: str, device: torch.device) -> TrainedCodec:
    """The codec itself, moved. Raises `UserError`, about its `owner`, if the device lacks the numbers that it needs."""
    needs_float64 = any(each.dtype == torch.float64 for each in trained.codec.state_dict().values())
    if device.type == "mps" and needs_float64:
        raise UserError(f"{owner}: required a device that has float64, as {trained.config.codec.kind} needs, found mps")
    trained.codec.to(device)
    return trained


def _trained(content: Mapping[str, Any]) -> TrainedCodec:
    if missing := [name for name in _CONTENT if name not in content]:
        raise WeightsError(f"required a codec with {', '.join(_CONTENT)}, found no {', '.join(missing)}")
    weights, fingerprint, epoch = (content[name] for name in ("state_dict", "detector_fingerprint", "epoch"))
    if type(epoch) is not int or not isinstance(fingerprint, str):
        raise WeightsError(
            f"required an epoch and a detector_fingerprint, found {shown(epoch)} and {shown(fingerprint)}"
        )
    config = _config(content["config"])
    spec = _spec(content["spec"])
    _require_finite(weights)
    codec = _codec(config, spec, sum(each.numel() for each in weights.values()))
    try:
        codec.load_state_dict(weights)
    except (RuntimeError, AttributeError, TypeError) as error:  # torch's list has a line for each
        told = str(error).splitlines()[1:2] or [str(error)]
        raise WeightsError(
            f"state_dict: required the weights of its config's codec, found others: {told[0].strip()}"
        ) from None
    for name, module in codec.named_modules():
        if isinstance(module, CodingTables):
            _require_sound(name, module)
    return TrainedCodec(codec.eval(), config, fingerprint, epoch, model_hash(codec.state_dict()))


def _config(settings: Any) -> CodecConfig:
    try:
        config = validate(settings)
    except (ValidationError, TypeError) as error:
        raise WeightsError(
            f"config: required that of a codec's training, found something else ({_first(error)})"
        ) from None
    if not isinstance(config, CodecConfig):
        raise WeightsError(f"config: required task fpn_compression, found {config.task}")
    return config


def _spec(stored: Any) -> PyramidSpec:
    try:
        levels = tuple(LevelSpec(str(name), int(channels), int(stride)) for name, channels, stride in stored)
        if not levels or not all(map(_is_possible, levels)):
            raise ValueError(f"{stored}"[:100])
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsError(
            f"spec: required a name, channels and a stride for each level, found {_first(error)}"
        ) from None
    return PyramidSpec(levels)


def _codec(config: CodecConfig, spec: PyramidSpec, stored: int) -> Codec:
    """Built, but not further than the file has weights for: a few words in it can ask for gigabytes."""
    builds, registered = threading.get_ident(), 0

    def count(module: nn.Module, name: str, value: Tensor | None) -> None:
        nonlocal registered
        if value is not None and threading.get_ident() == builds:  # the hook is that of all threads
            registered += value.numel()
            if registered > stored + _BESIDE:
                raise WeightsError(f"state_dict: required the weights of its config's codec, found {stored:,} numbers")

    hooks = register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)
    try:
        return build_codec(config.codec, spec)
    except (RuntimeError, MemoryError):  # of torch, which was to have far too much
        raise WeightsError("config: required a codec that fits into memory, found a larger one") from None
    finally:
        for hook in hooks:
            hook.remove()


def _is_possible(level: LevelSpec) -> bool:
    """Torch takes no other names for parts; the limits are far beyond every detector's."""
    named = level.name != "" and "." not in level.name
    return named and 1 <= level.channels <= _MOST and 1 <= level.stride <= _MOST


def _require_finite(weights: Any) -> None:
    if not isinstance(weights, Mapping) or not all(isinstance(each, Tensor) for each in weights.values()):
        raise WeightsError("state_dict: required tensors by name, found something else")
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(f"{name}: required finite numbers, found NaN or infinity")


def _require_sound(name: str, module: CodingTables) -> None:
    try:
        require_sound(module.tables(), module.table_count)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from None
    except (UserError, TypeError, ValueError):  # none, of another number of dimensions, or not whole
        raise WeightsError(f"{name}: required {module.table_count} coding tables, found something else") from None


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]
