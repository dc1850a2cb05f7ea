"""Small fused codecs on random pyramids, with weights as if trained."""

from __future__ import annotations

import torch

from fpnkit.codecs.base import Start
from fpnkit.codecs.fused import FusedPyramidCodec
from fpnkit.config.schema import FusedCodec
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p3", 6, 8), LevelSpec("p4", 8, 16), LevelSpec("p5", 8, 32), LevelSpec("p5b", 5, 32)))
LAMBDAS = (10.0, 100.0, 1000.0)


def pyramid(seed: int, height: int = 96, width: int = 128, spec: PyramidSpec = SPEC) -> Pyramid:
    """Smooth noise, so that there is something to predict; sides are those of strided convolutions."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 4, -(-height // 32), -(-width // 32), generator=generator)
    levels = {}
    for level in spec.levels:
        size = -(-height // level.stride), -(-width // level.stride)
        mixed = torch.einsum("oc,bchw->bohw", torch.randn(level.channels, 4, generator=generator), coarse)
        smooth = torch.nn.functional.interpolate(mixed, size, mode="bilinear")
        levels[level.name] = smooth + 0.3 * torch.randn(1, level.channels, *size, generator=generator)
    return Pyramid(levels)


def geometry(height: int = 96, width: int = 128) -> ImageGeometry:
    """A canvas with padding below and to the right."""
    return ImageGeometry((2 * height, 2 * width), (height - 5, width - 9), (height, width))


def settings(**options: object) -> FusedCodec:
    """Of a small codec."""
    small = {"latent_channels": 24, "components": 40, "channels": 16, "context_channels": 16, "rates": len(LAMBDAS)}
    return FusedCodec.model_validate({"kind": "fused", **small, **options})


def codec(spec: PyramidSpec = SPEC, seed: int = 0, **options: object) -> FusedPyramidCodec:
    """In evaluation mode with tables; the branches and the entropy model are not silent as at the start."""
    torch.manual_seed(seed)
    chosen = settings(**options)
    made = FusedPyramidCodec(chosen, spec)
    lambdas = LAMBDAS if chosen.rates > 1 else LAMBDAS[1:2]
    curvature = {level.name: torch.eye(level.channels) for level in spec.levels}
    made.start(Start(lambda: ((pyramid(100 + index, spec=spec), geometry()) for index in range(8)), curvature, lambdas))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "log2_step" not in name and "to_values" not in name:
                parameter.add_(0.03 * torch.randn_like(parameter))
    made.eval()
    made.update_tables()
    return made
