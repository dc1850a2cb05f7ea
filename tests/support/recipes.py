"""Coders that other processes can build, and what can happen to them."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fpnkit.codecs.coder import CodedImage, CoderInput
from fpnkit.detectors.base import Detector
from tests.support.coders import FeatureCoder


@dataclass(frozen=True)
class Rounded:
    """Features to a number of decimals."""

    decimals: int

    def build(self, detector: Detector) -> FeatureCoder:
        def rounded(name: str, level: Tensor) -> Tensor:
            return level.round(decimals=self.decimals)

        return FeatureCoder(rounded, f"rounded{self.decimals}")


class _Fragile(FeatureCoder):
    def __init__(self, recipe: "Fragile") -> None:
        super().__init__(name="fragile")
        self._recipe = recipe

    def encode(self, source: CoderInput) -> CodedImage:
        if source.image.float().mean().item() == self._recipe.mean:
            if self._recipe.killed is None:
                raise ArithmeticError("too bright")
            if not self._recipe.killed.exists():
                self._recipe.killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(source)


@dataclass(frozen=True)
class Fragile:
    """Raises at the image of this mean; or dies, if a file that is then made does not exist yet."""

    mean: float
    killed: Path | None = None

    def build(self, detector: Detector) -> FeatureCoder:
        return _Fragile(self)
