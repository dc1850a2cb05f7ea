"""At which rate images are to be coded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fpnkit.config.curve import require_quality
from fpnkit.config.schema import CodecConfig
from fpnkit.container import QUALITY_STEPS
from fpnkit.errors import UserError
from fpnkit.metrics.rate import bpp


@dataclass(frozen=True)
class Target:
    """The most that a file may have."""

    most: float
    unit: Literal["bpp", "KB"]

    def size(self, count: int, pixels: int) -> float:
        """Of `count` bytes for an image, in the unit."""
        return bpp(8 * count, pixels) if self.unit == "bpp" else count / 1000


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    quality: float | None = None
    target: Target | None = None
    search_steps: int | None = None

    @property
    def rounded_quality(self) -> float | None:
        """As a stream can carry it."""
        return None if self.quality is None else round(self.quality * QUALITY_STEPS) / QUALITY_STEPS

    def require_fit(self, config: CodecConfig) -> None:
        """Raise `UserError` unless a codec of several rates is told which, and one of one rate is not."""
        if self.target is not None:
            if config.qualities is None:
                flag = f"--target-{self.target.unit.lower()}"
                raise UserError(f"{flag}: required a codec of several rates, found one of one rate")
        elif self.quality is None and config.qualities is not None:
            low, high = config.qualities
            raise UserError(f"required --quality from {low:g} to {high:g}, --target-bpp or --target-kb, found none")
        else:
            require_quality(config.qualities, self.quality)
