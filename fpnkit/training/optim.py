"""Optimizers and the learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from fpnkit.codecs.base import Codec, is_quantile
from fpnkit.config.schema import CodecTraining, DetectorTraining
from fpnkit.training.alike import require_optimizer


@dataclass(frozen=True)
class CodecOptimizers:
    """One optimizer for the network, one for the quantiles, which have their own loss."""

    network: Optimizer | None  # None: the codec has no parameters
    lr_factors: tuple[float, ...]  # of the network's groups
    quantiles: Optimizer | None  # None: the codec has none

    @classmethod
    def of(cls, codec: Codec, settings: CodecTraining) -> CodecOptimizers:
        """Every parameter belongs to exactly one of the two."""
        groups = [group for group in codec.parameter_groups() if group.parameters]
        network = Adam([{"params": list(group.parameters)} for group in groups], lr=settings.lr) if groups else None
        quantiles = [value for name, value in codec.named_parameters() if is_quantile(name)]
        result = cls(
            network,
            tuple(group.lr_factor for group in groups),
            Adam(quantiles, lr=settings.aux_lr) if quantiles else None,
        )
        result.set_lr(settings.lr)
        return result

    @property
    def network_parameters(self) -> list[nn.Parameter]:
        """The state of all groups."""
        groups = [] if self.network is None else self.network.param_groups
        return [parameter for group in groups for parameter in group["params"]]

    def set_lr(self, lr: float) -> None:
        """The network's learning rate; each group multiplies it by its factor."""
        groups = [] if self.network is None else self.network.param_groups
        for group, factor in zip(groups, self.lr_factors, strict=True):
            group["lr"] = lr * factor

    def state_dict(self) -> dict[str, Any]:
        """The state of both optimizers."""
        each = {"network": self.network, "quantiles": self.quantiles}
        return {name: optimizer.state_dict() for name, optimizer in each.items() if optimizer is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The state of both optimizers. Raises `WeightsError`."""
        for name, own in (("network", self.network), ("quantiles", self.quantiles)):
            if own is not None:
                restore(own, state.get(name), f"optimizers.{name}")


def restore(optimizer: Optimizer, state: Any, where: str) -> None:
    """Set the optimizer's state. Raises `WeightsError`, about `where`, for anything but that of the same parameters."""
    require_optimizer(state, optimizer, where)
    optimizer.load_state_dict(state)


def detector_optimizer(parameters: Sequence[nn.Parameter], settings: DetectorTraining) -> Optimizer:
    """The optimizer selected by the settings."""
    if settings.optimizer == "adamw":
        return AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    return SGD(parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


@dataclass
class Schedule:
    """The learning rate as a function of the step and of validation."""

    kind: str  # constant, cosine or plateau
    lr: float
    total_steps: int
    warmup_steps: int = 0
    plateau_epochs: int = 10
    factor: float = 1.0
    best: float = math.inf
    epochs_since_best: int = 0

    def lr_at(self, step: int) -> float:
        """The learning rate of the step after `step` finished ones."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / (self.warmup_steps + 1)
        if self.kind == "cosine":
            share = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            return self.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, share))) / 2)
        return self.lr * self.factor

    def epoch_ended(self, loss: float) -> None:
        """Halve after `plateau_epochs` epochs without a better validation loss."""
        if loss < self.best:
            self.best, self.epochs_since_best = loss, 0
        else:
            self.epochs_since_best += 1
        if self.kind == "plateau" and self.epochs_since_best and self.epochs_since_best % self.plateau_epochs == 0:
            self.factor /= 2

    def state_dict(self) -> dict[str, Any]:
        """The state that changes."""
        return {"factor": self.factor, "best": self.best, "epochs_since_best": self.epochs_since_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The state that changes."""
        self.factor, self.best = state["factor"], state["best"]
        self.epochs_since_best = state["epochs_since_best"]
