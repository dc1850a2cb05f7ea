"""A small linear codec, started from features that repeat from cell to cell."""

import functools

import torch

from fpnkit.codecs.base import Start
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import Calibration, LevelStatistics
from fpnkit.codecs.linear import LinearPyramidCodec
from fpnkit.config.schema import LinearCodec
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p3", 3, 8), LevelSpec("p5", 4, 32), LevelSpec("p5b", 2, 32)))
SETTINGS = LinearCodec(kind="linear", components=20, context_components=8, rates=3)


def geometry(height: int, width: int) -> ImageGeometry:
    """All of the canvas is picture."""
    return ImageGeometry((height, width), (height, width), (height, width))


def pyramid(height: int, width: int, seed: int = 0, scale: float = 1.0) -> Pyramid:
    generator = torch.Generator().manual_seed(seed)
    levels = {}
    for level in SPEC.levels:
        rows, columns = -(-height // level.stride), -(-width // level.stride)
        noise = torch.randn(1, level.channels, rows, columns, generator=generator)
        common = torch.randn(1, 1, 1, columns, generator=generator)  # the same in all rows and channels
        levels[level.name] = scale * (0.5 * noise + 2 * common)
    return Pyramid(levels)


def fresh(settings: LinearCodec = SETTINGS) -> LinearPyramidCodec:
    """Calibrated, but not started."""
    codec = build_codec(settings, SPEC)
    assert isinstance(codec, LinearPyramidCodec)
    codec.standardiser.set(Calibration({name: LevelStatistics(0.3, 2.0, torch.ones(1), 1.0) for name in SPEC.names}, 1))
    return codec.eval()


def started(settings: LinearCodec = SETTINGS) -> LinearPyramidCodec:
    codec = fresh(settings)
    images = [(pyramid(160, 96 + 32 * (i % 3), i), geometry(160, 96 + 32 * (i % 3))) for i in range(12)]
    curvature = {level.name: torch.eye(level.channels) for level in SPEC.levels}
    lambdas = tuple(2.0 * 8**rate for rate in range(settings.rates))
    codec.start(Start(lambda: images, curvature, lambdas))
    return codec


@functools.cache
def shared() -> LinearPyramidCodec:
    """To be read only."""
    return started()
