"""What makes runs the same: the settings that decide what is learned, and those that decide what a loss means.

Settings are nested or flat (`section.key`), with every default spelled out. A list names a key or a whole section.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fpnkit.config.diff import flatten
from fpnkit.config.schema import DetectorSettings, PluginDetector, TorchvisionDetector, TransformersDetector

# What is written, where it is computed, and what it is tested on.
OUTPUT_ONLY = (
    "analysis",
    "cache",
    "data.labels",
    "data.test",
    "data.train.annotations_check",
    "data.val.annotations_check",
    "slurm",
    "training.device",
    "training.keep_best",
    "training.log_every",
    "training.save_every_seconds",
)
# What differs between the runs of a sweep, and the points of a curve of runs: a line joins lambdas, a band seeds.
VARIED = ("loss.lambda", "seed")
# What a resumed run may do differently without becoming another run.
FREE_ON_RESUME = (*OUTPUT_ONLY, "training.epochs", "training.patience")

# What the loss of a codec, and that of a detector (1 - mAP), is made of.
_LOSS = {
    "fpn_compression": ("task", "data", "detector", "loss", "training.calibration_images"),
    "detection": ("task", "data"),
}
_DIGITS = 16


def learned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key` → value of the settings that decide what is learned."""
    return without(settings, OUTPUT_ONLY)


def shared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key` → value of the settings shared by all runs of a sweep."""
    return without(settings, (*OUTPUT_ONLY, *VARIED))


def of_curve(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key` → value of the settings shared by the points of a curve.

    The lambdas of a codec of several rates are the ends of its curve: another range is another curve.
    """
    return without(settings, (*OUTPUT_ONLY, *(("seed",) if several_rates(settings) else VARIED)))


def several_rates(settings: Mapping[str, Any]) -> bool:
    """Whether they are of a codec that learns several rates at once."""
    rates = flatten(settings).get("codec.rates")
    return isinstance(rates, int) and rates > 1


def loss_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`section.key` → value of the settings that two runs must share for their validation losses to be comparable.

    For a codec these are data, detector, the loss with its lambda, and the number of calibration images. For a detector
    they are the data. The seed is included if it draws the validation images. Codec, learning rate and epochs are not,
    because the loss is there to compare them.
    """
    flat = flatten(settings)
    kept = _LOSS[flat["task"]]
    if flat["data.val.kind"] == "holdout":
        kept = (*kept, "seed")
    return {key: value for key, value in flat.items() if within(key, kept) and not within(key, OUTPUT_ONLY)}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """16 hex digits, equal for equal settings in every process and any order."""
    return hashlib.sha256(json.dumps(flatten(settings), sort_keys=True).encode()).hexdigest()[:_DIGITS]


def without(settings: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """`section.key` → value, without these keys and sections."""
    named, sections = set(keys), _sections(keys)  # once: a panel asks it of ten thousand runs
    return {key: value for key, value in flatten(settings).items() if key not in named and not key.startswith(sections)}


def within(key: str, keys: Sequence[str]) -> bool:
    """Whether `section.key` is one of the keys or lies in one of the sections."""
    return key in keys or key.startswith(_sections(keys))


def _sections(keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{key}." for key in keys)


def detector_name(detector: DetectorSettings) -> str:
    """The detector's name for people: the model, or a plugin's registered name."""
    match detector:
        case TorchvisionDetector():
            return detector.model
        case PluginDetector() | TransformersDetector():
            return detector.title
    return detector.kind
