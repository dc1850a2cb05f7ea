"""Synthetic features whose values say which image, level and place they belong to."""

import time

import torch

from fpnkit.data.cache import FeatureCache
from fpnkit.data.windows import Features
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec(tuple(LevelSpec(f"p{k}", 8, 2**k) for k in range(2, 6)))


def features(index, canvas=(96, 160), spec=SPEC, seconds=0.0):
    time.sleep(seconds)
    generator = torch.Generator().manual_seed(index)
    levels = {
        level.name: torch.randn(
            1, level.channels, -(-canvas[0] // level.stride), -(-canvas[1] // level.stride), generator=generator
        )
        for level in spec.levels
    }
    return Features(Pyramid(levels), ImageGeometry((canvas[0] * 2, canvas[1] * 3), canvas, canvas))


class Counted:
    """A compute function that remembers what it was asked for."""

    def __init__(self, compute=features):
        self.compute, self.asked = compute, []

    def __call__(self, index):
        self.asked.append(index)
        return self.compute(index)


def identities(count):
    return [f"image {index}" for index in range(count)]


def cache(root, compute=features, count=6, fingerprint="detector", budget=10**9, spec=SPEC, read_only=False):
    return FeatureCache(root, fingerprint, spec, identities(count), compute, budget, read_only)


def files(root):
    return sorted(root.rglob("*.safetensors"))
