"""Feature pyramids: what their levels are, and the tensors themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.errors import PyramidError
from fpnkit.geometry import ImageGeometry as ImageGeometry  # where detectors of other packages import it from


@dataclass(frozen=True)
class LevelSpec:
    """One level; `stride` in pixels of the network input, a power of two."""

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class PyramidSpec:
    """The levels of a pyramid, finest first."""

    levels: tuple[LevelSpec, ...]

    @classmethod
    def from_shapes(cls, canvas: tuple[int, int], shapes: Sequence[tuple[int, int, int]]) -> PyramidSpec:
        """Read levels off the (channels, height, width) that an input of `canvas` (height, width) gave.

        Strides come from real sizes, never from the position in the list: a pyramid may hold two levels of
        one stride (the second is named `p5b`) or skip one.
        """
        levels: list[LevelSpec] = []
        for channels, height, width in shapes:
            exponent = max(round(math.log2(canvas[0] / height)), round(math.log2(canvas[1] / width)))
            same = sum(level.stride == 2**exponent for level in levels)
            levels.append(LevelSpec(f"p{exponent}" + " bcdefgh"[same].strip(), channels, 2**exponent))
        return cls(tuple(levels))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(level.name for level in self.levels)

    @property
    def coarsest_stride(self) -> int:
        return max(level.stride for level in self.levels)

    def __getitem__(self, name: str) -> LevelSpec:
        return next(level for level in self.levels if level.name == name)

    def __str__(self) -> str:
        return ", ".join(f"{level.name} {level.channels} channels at stride {level.stride}" for level in self.levels)

    def check(self, pyramid: Pyramid) -> None:
        """Raise `PyramidError` unless `pyramid` has exactly these levels and channels."""
        found = {name: tensor.shape[1] for name, tensor in pyramid.items()}
        if found != {level.name: level.channels for level in self.levels}:
            text = ", ".join(f"{name} {channels} channels" for name, channels in found.items())
            raise PyramidError(f"pyramid: required {self}; found {text or 'no level'}")


class Pyramid(Mapping[str, Tensor]):
    """Level name → tensor (batch, channel, height, width), finest first; read-only."""

    def __init__(self, levels: Mapping[str, Tensor]) -> None:
        self._levels = dict(levels)

    def __getitem__(self, name: str) -> Tensor:
        return self._levels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __repr__(self) -> str:
        return "Pyramid(" + ", ".join(f"{name} {tuple(level.shape)}" for name, level in self.items()) + ")"

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """(height, width) of each level."""
        return {name: (level.shape[-2], level.shape[-1]) for name, level in self.items()}

    def to(self, device: torch.device) -> Pyramid:
        """The levels on a device."""
        return Pyramid({name: level.to(device) for name, level in self.items()})

    def padded(self, multiples: Mapping[str, int]) -> Pyramid:
        """Each level extended at the bottom and right to a multiple, edge values repeated.

        Repetition, not reflection: it works for a level of one cell. The inverse is `cropped(self.sizes)`.
        """
        return Pyramid({name: _pad_to_multiple(level, multiples[name]) for name, level in self.items()})

    def cropped(self, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        """The top left (height, width) of each level."""
        return Pyramid({name: level[..., : sizes[name][0], : sizes[name][1]] for name, level in self.items()})


def _pad_to_multiple(level: Tensor, multiple: int) -> Tensor:
    bottom, right = -level.shape[-2] % multiple, -level.shape[-1] % multiple
    return F.pad(level, (0, right, 0, bottom), mode="replicate") if bottom or right else level
