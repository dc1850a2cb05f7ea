"""Pyramids whose statistics are known."""

import torch

from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p3", 6, 8), LevelSpec("p4", 5, 16)))
GEOMETRY = ImageGeometry((256, 256), (256, 256), (256, 256))


def noise(seed: int, side: int = 32, spec: PyramidSpec = SPEC) -> Pyramid:
    """White Gaussian noise of variance 1."""
    generator = torch.Generator().manual_seed(seed)
    levels = {}
    for level in spec.levels:
        size = max(1, side * 8 // level.stride)
        levels[level.name] = torch.randn(1, level.channels, size, size, generator=generator)
    return Pyramid(levels)
