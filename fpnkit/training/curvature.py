"""Where errors cost most: second derivatives of a distortion, per level and channel."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from fpnkit.codecs.calibration import Standardizer
from fpnkit.detectors.base import DetectorWithHeads
from fpnkit.distortions import Distortion, DistortionInputs, HeadDistortion
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import standardized_mse
from fpnkit.pyramid import Pyramid

_NOISE = 0.3  # deviations of a level: about the error at which codecs work


def measure_curvature(
    distortion: Distortion,
    features: Iterable[tuple[Pyramid, ImageGeometry]],
    standardiser: Standardizer,
    seed: int = 0,
) -> Mapping[str, Tensor]:
    """Level → (channel, channel), positive semidefinite: by how much the distortion of a whole image grows, twice over,
    with the square of a standardized value's error, the mean over places.

    Gradients g at noise n of variance s² around the features: for a quadratic distortion g = H n and E[g gᵀ] = s² H²,
    so that H is the root of their second moments. Needs nothing but gradients, and stays positive where the distortion
    is not quadratic.
    """
    generator = torch.Generator().manual_seed(seed)
    moments: dict[str, Tensor] = {}
    places: dict[str, int] = {}
    for pyramid, geometry in features:
        for name, gradient in _gradients(distortion, pyramid, geometry, standardiser, generator).items():
            values = gradient[0].flatten(1).double()
            moments[name] = moments.get(name, 0) + (values @ values.T).cpu()
            places[name] = places.get(name, 0) + values.shape[1]
    return {name: _root(moment / places[name]).float() / _NOISE for name, moment in moments.items()}


def measure_sensitivity(
    detector: DetectorWithHeads,
    features: Iterable[tuple[Pyramid, ImageGeometry]],
    standardiser: Standardizer,
    seed: int = 0,
) -> Mapping[str, Tensor]:
    """Level → (channel,): the diagonal of the heads' curvature, for `SensitivityDistortion`."""
    curvature = measure_curvature(HeadDistortion(detector), features, standardiser, seed)
    return {name: matrix.diagonal().contiguous() for name, matrix in curvature.items()}


def _gradients(
    distortion: Distortion,
    pyramid: Pyramid,
    geometry: ImageGeometry,
    standardiser: Standardizer,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    standard = standardiser(pyramid)
    noisy = {
        name: level + _NOISE * torch.randn(level.shape, generator=generator).to(level.device)
        for name, level in standard.items()
    }
    leaves = [level.detach().requires_grad_() for level in noisy.values()]
    decoded = standardiser.inverse(Pyramid(dict(zip(noisy, leaves, strict=True))))
    mse = standardized_mse(pyramid, decoded, standardiser.deviation)
    pixels = geometry.original_pixels()
    terms = distortion(DistortionInputs(pyramid, decoded, mse, geometry=[geometry], pixels=pixels)).values()
    total = functools.reduce(operator.add, terms) * pixels
    return dict(zip(noisy, torch.autograd.grad(total, leaves), strict=True))


def _root(matrix: Tensor) -> Tensor:
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * eigenvalues.clamp(min=0).sqrt()) @ vectors.T
    return root
