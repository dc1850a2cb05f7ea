"""What `last.pth` holds, looked at as a whole before anything is trained with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fpnkit.errors import WeightsError
from fpnkit.training.alike import is_count, is_number, require, require_tensor
from fpnkit.training.checkpoint import rng_state
from fpnkit.training.loop import Learner, Progress
from fpnkit.training.optim import Schedule

_SUMS = ("bits", "mse", "terms")


def restore_learner(file: Path, state: Mapping[str, Any], learner: Learner) -> None:
    """Set the learner's part of the state. Raises `WeightsError`, about the file, if any part of it cannot be."""
    try:
        _require_progress(state.get("progress"))
        _require_schedule(state.get("schedule"))
        _require_rng(state.get("rng"), learner)
        _load(learner, state.get("learner"))
    except WeightsError as error:
        raise WeightsError(f"{file}: {error}") from None


def _load(learner: Learner, found: Any) -> None:
    own = learner.state_dict()
    missing = [name for name in own if not isinstance(found, Mapping) or name not in found]
    require(not missing, "learner", ", ".join(missing))
    for name, value in own.items():
        if isinstance(value, str):
            require(isinstance(found[name], str), f"learner.{name}", "a text")
    _require_plain(found, "learner")
    try:
        learner.load_state_dict(found)
    except (RuntimeError, AttributeError, TypeError, KeyError, ValueError) as error:  # torch's list has a line for each
        told = str(error).splitlines()[1:2] or [str(error)]
        raise WeightsError(f"learner: required the weights of its config, found others: {told[0].strip()}") from None


def _require_plain(found: Any, where: str) -> None:
    """All tensors by name, but for those of optimizers, which look at their own."""
    for name, value in found.items():
        if name in ("codec", "module", "sensitivity"):
            require(isinstance(value, Mapping), f"{where}.{name}", "tensors by name")
            for key, tensor in value.items():
                require_tensor(tensor, f"{where}.{name}.{key}")
        elif name == "balance":
            require_tensor(value, f"{where}.{name}")


def _require_rng(found: Any, learner: Learner) -> None:
    require(isinstance(found, Mapping) and "cpu" in found, "rng", "the state of a generator")
    for name, own in rng_state(learner.device).items():
        if name in found:  # a run that began on another device has none
            require_tensor(found[name], f"rng.{name}", own)


def _require_schedule(found: Any) -> None:
    for name in Schedule("", 0.0, 0).state_dict():
        fits = isinstance(found, Mapping) and is_number(found.get(name))
        require(fits, f"schedule.{name}", "a number")
    require(is_count(found["epochs_since_best"]), "schedule.epochs_since_best", "a number of epochs")


def _require_progress(found: Any) -> None:
    """Sums of what later versions count too may be missing."""
    own = Progress().plain()
    require(isinstance(found, Mapping) and set(found) <= set(own), "progress", f"some of {', '.join(own)}")
    for name, value in found.items():
        where = f"progress.{name}"
        if name in ("window", "epoch_tally"):
            _require_tally(value, own[name], where)
        elif type(own[name]) is int:
            require(is_count(value), where, "a whole number from 0 on")
        elif name != "first_loss" or value is not None:
            require(is_number(value), where, "a number")
    require({"epoch", "index", "step", "window", "epoch_tally"} <= set(found), "progress", "epoch, index, step, sums")
    require(found["epoch"] >= 1, "progress.epoch", "1 or more")


def _require_tally(found: Any, own: Mapping[str, Any], where: str) -> None:
    require(isinstance(found, Mapping) and set(found) <= set(own), where, f"some of {', '.join(own)}")
    for name, value in found.items():
        if name in _SUMS:
            numbers = isinstance(value, Mapping) and all(is_number(each) for each in value.values())
            require(numbers and all(isinstance(key, str) for key in value), f"{where}.{name}", "numbers by level")
        else:
            require(is_number(value), f"{where}.{name}", "a number")
