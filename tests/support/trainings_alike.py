"""Trainings that are interrupted, and whether what they end with is the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch

from fpnkit.runs.metrics import read_metrics
from fpnkit.training.codec_learner import CodecLearner
from fpnkit.training.tally import Tally


class Interrupted:
    """A learner that sends its own process a signal after some steps, as an impatient user would."""

    def __init__(self, learner: CodecLearner, after: int, number: int = signal.SIGTERM) -> None:
        self._learner, self._left, self._number = learner, after, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._learner, name)

    def step(self, epoch: int, index: int, lr: float) -> Tally:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._number)
        return self._learner.step(epoch, index, lr)


def lines(path: Path) -> list[dict[str, Any]]:
    timing = ("time", "seconds")
    return [
        {k: v for k, v in line.to_dict().items() if k not in timing} for line in read_metrics(path / "metrics.jsonl")
    ]


def assert_same_state(a: Any, b: Any, where: str = "") -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same_state(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same_state(left, right, f"{where}[{index}]")
    else:
        assert a == b, where
