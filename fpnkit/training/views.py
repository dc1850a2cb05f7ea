"""More features from the same images: mirrored ones, and parts of them."""

from __future__ import annotations

import functools
import zlib

import numpy as np
from torch import Tensor

from fpnkit.config.schema import CodecTraining
from fpnkit.detectors.cached import PLAIN, FeatureView

_SMALLEST_PART = 0.5  # of each side


def training_views(settings: CodecTraining) -> tuple[FeatureView, ...]:
    """Images as they are, mirrored, and `image_crops` parts of each, every other one mirrored."""
    views = [PLAIN, *([FeatureView("flip", _mirrored)] if settings.flip else [])]
    views += [
        FeatureView(f"part {number}", functools.partial(_part, number=number)) for number in range(settings.image_crops)
    ]
    return tuple(views)


def _mirrored(image: Tensor) -> Tensor:
    return image.flip(-1)


def _part(image: Tensor, number: int) -> Tensor:
    """A random part, always the same one of the same image."""
    rng = np.random.default_rng([number, zlib.crc32(image[:, ::8, ::8].contiguous().numpy().data)])
    sides = [max(1, round(side * rng.uniform(_SMALLEST_PART, 1))) for side in image.shape[1:]]
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(image.shape[1:], sides, strict=True))
    part = image[:, top : top + sides[0], left : left + sides[1]]
    return _mirrored(part) if number % 2 else part
