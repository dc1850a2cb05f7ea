"""Checkpoints: the full state to resume from, and the best model, ready to use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from fpnkit.config.diff import differences, flatten
from fpnkit.config.identity import FREE_ON_RESUME, within
from fpnkit.config.load import plain, shown_settings, validate
from fpnkit.config.schema import Config
from fpnkit.errors import ConfigError, RunError, WeightsError
from fpnkit.foundation import clock
from fpnkit.foundation.files import write_bytes
from fpnkit.foundation.redact import MASK
from fpnkit.runs import layout
from fpnkit.torch_files import checkpoint_bytes


def require_resumable(run_dir: Path, config: Config, state: Mapping[str, Any], *, finished: bool) -> None:
    """Raise `ConfigError` if `config_used.yaml` was changed so that it would be another run, or lacks a secret.

    Raise `RunError` if the run has `finished` and there are no more epochs; one that was killed before it could say so
    is resumed to say it.
    """
    file = run_dir / layout.CONFIG_USED
    now, before = shown_settings(config), shown_settings(_config_of(run_dir, state))  # with keys that came later
    problems = [
        f"{file}: {change.key}: required {change.left!r} as in the run so far, found {change.right!r}"
        for change in differences(before, now)
        if not within(change.key, FREE_ON_RESUME)
    ]
    problems += [
        f"{file}: {key}: is a secret, which was not kept; required a plugin that reads it from elsewhere"
        for key, value in flatten(plain(config)).items()
        if MASK in str(value)  # a text, or a list of them
    ]
    if problems:
        raise ConfigError(problems)
    progress = state.get("progress")
    epoch = progress.get("epoch") if isinstance(progress, Mapping) else None
    if finished and type(epoch) is int and epoch > config.training.epochs:
        done = epoch - 1
        raise RunError(f"run {run_dir}: required epochs left to train, found {done} done; --epochs N trains up to N")


def _config_of(run_dir: Path, state: Mapping[str, Any]) -> Config:
    try:
        return validate(state["config"])
    except (ValidationError, TypeError, ValueError, KeyError) as error:
        told = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise WeightsError(
            f"{run_dir / layout.LAST}: config: required that of a training, found something else ({told})"
        ) from None


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of the generators used in training; data order and crops depend only on seed and epoch."""
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
    """Write `best_model.pth` and, if copies are kept, a copy with epoch and loss in its name; return the name to refer
    to.
    """
    data = checkpoint_bytes(content)
    write_bytes(directory / layout.BEST_MODEL, data)
    if keep == 0:
        return layout.BEST_MODEL
    name = layout.best_model_name(epoch, loss, clock.now())
    write_bytes(directory / name, data)
    return name


def remove_older_copies(directory: Path, epoch: int, name: str, keep: int) -> None:
    """Keep the newest `keep` copies; `name` replaces a copy of the same epoch from before a resume."""
    copies = {file: int(match[1]) for file in directory.iterdir() if (match := _COPY.fullmatch(file.name))}
    newest = sorted({number for number in copies.values() if number <= epoch}, reverse=True)[:keep]
    for file, number in copies.items():
        if file.name != name and (number == epoch or number not in newest):
            file.unlink(missing_ok=True)


_COPY = re.compile(r"best_model_epoch_(\d+)_loss_.*\.pth")
