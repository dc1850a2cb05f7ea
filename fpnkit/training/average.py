"""A moving average of a model's weights, which is better than the last weights while the learning rate is high."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class WeightAverage:
    """Follows `model` step by step (Polyak and Juditsky 1992)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay, self._steps = model, decay, 0
        self._weights = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def follow(self) -> None:
        """After a step; the first steps weigh more, so that the start is soon forgotten."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._weights, [each.detach() for each in self._model.parameters()], 1 - decay)

    @torch.no_grad()
    def model(self, model: M) -> M:
        """A copy of the followed model with the averaged weights."""
        averaged = copy.deepcopy(model)
        for parameter, weight in zip(averaged.parameters(), self._weights, strict=True):
            parameter.copy_(weight)
        return averaged

    def state_dict(self) -> dict[str, object]:
        """To continue from."""
        return {"steps": self._steps, "weights": self._weights}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """The inverse."""
        steps, weights = state["steps"], state["weights"]
        assert isinstance(steps, int) and isinstance(weights, list)
        self._steps = steps
        for own, loaded in zip(self._weights, weights, strict=True):
            own.copy_(loaded)
