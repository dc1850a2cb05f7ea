"""Checkpoints: the full state to resume from, and the best model, which can be used at once."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.model_hash import model_hash
from fpnkit.config.diff import differences, flatten
from fpnkit.config.load import plain, validate
from fpnkit.config.schema import CodecConfig, Config
from fpnkit.errors import ConfigError, RunError, WeightsError
from fpnkit.pyramid import LevelSpec, PyramidSpec
from fpnkit.runs import clock, layout
from fpnkit.runs.files import write_bytes
from fpnkit.runs.redact import MASK, without_secrets
from fpnkit.runs.settings import OUTPUT_ONLY
from fpnkit.torch_files import read_torch_file

SCHEMA_VERSION = 1


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Complete or not at all: serialised in memory first, so that a full disk costs the new file only."""
    buffer = io.BytesIO()
    torch.save({"schema_version": SCHEMA_VERSION, **content}, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path, kind: str) -> dict[str, Any]:
    """A checkpoint of ours of a `kind`; code in it is refused, not run."""
    content = read_torch_file(path)
    found = content.get("kind")
    if found != kind:
        raise WeightsError(f"{path}: required a checkpoint of kind {kind}, found {found or 'something else'}")
    if content["schema_version"] > SCHEMA_VERSION:
        raise WeightsError(
            f"{path}: required schema version {SCHEMA_VERSION} or older, found {content['schema_version']}; "
            "it was written by a newer fpnkit"
        )
    return content


def shown_settings(config: Config) -> dict[str, Any]:
    """The config as it may be written down: without secrets."""
    settings: dict[str, Any] = without_secrets(plain(config))
    return settings


_FREE_ON_RESUME = (*OUTPUT_ONLY, "training.epochs", "training.patience")


def require_resumable(run_dir: Path, config: Config, state: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if `config_used.yaml` was changed in a way that makes it another run, or lacks a secret."""
    file = run_dir / layout.CONFIG_USED
    now = shown_settings(config)
    problems = [
        f"{file}: {change.key}: required {change.left!r} as in the run so far, found {change.right!r}"
        for change in differences(state["config"], now)
        if not change.key.startswith(_FREE_ON_RESUME)
    ]
    problems += [
        f"{file}: {key}: is a secret, which was not kept; required a plugin that reads it from elsewhere"
        for key, value in flatten(plain(config)).items()
        if MASK in str(value)  # a text, or a list of them
    ]
    if problems:
        raise ConfigError(problems)
    if state["progress"]["epoch"] > config.training.epochs:
        done = state["progress"]["epoch"] - 1
        raise RunError(f"run {run_dir}: required epochs left to train, found {done} done; --epochs N trains up to N")


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Of the generators that training draws from; data order and crops are functions of seed and epoch."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """The inverse of `rng_state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def save_best(directory: Path, epoch: int, loss: float, content: Mapping[str, Any], keep: int) -> str:
    """Write `best_model.pth` and a copy whose name tells its story; → the name of the copy, if one is kept.

    The newest `keep` copies stay. A copy of the same epoch, from before a resume, is replaced.
    """
    best = directory / layout.BEST_MODEL
    save(best, content)
    if keep == 0:
        return best.name
    name = layout.best_model_name(epoch, loss, clock.now())
    write_bytes(directory / name, best.read_bytes())
    copies = {file: int(match[1]) for file in directory.iterdir() if (match := _COPY.fullmatch(file.name))}
    newest = sorted({number for number in copies.values() if number <= epoch}, reverse=True)[:keep]
    for file, number in copies.items():
        if file.name != name and (number == epoch or number not in newest):
            file.unlink(missing_ok=True)
    return name


_COPY = re.compile(r"best_model_epoch_(\d+)_loss_.*\.pth")


@dataclass(frozen=True)
class TrainedCodec:
    """A codec from a checkpoint, in evaluation mode, ready to code."""

    codec: Codec
    config: CodecConfig
    detector_fingerprint: str
    epoch: int
    hash: str  # 8 hex digits; the model's streams carry it


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
    content = load(path, "fpn_compression")
    config = validate(content["config"])
    assert isinstance(config, CodecConfig)
    codec = build_codec(config.codec, PyramidSpec(tuple(LevelSpec(*level) for level in content["spec"])))
    codec.load_state_dict(content["state_dict"])
    fingerprint, digest = content["detector_fingerprint"], model_hash(codec.state_dict())
    return TrainedCodec(codec.eval(), config, fingerprint, content["epoch"], digest)
