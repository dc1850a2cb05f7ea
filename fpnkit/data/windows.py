"""Features of one image: its pyramid, its geometry, and windows of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fpnkit.errors import FpnkitError, PyramidError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec


@dataclass(frozen=True)
class Window:
    """A part of the network input, in its pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Features:
    """The pyramid (1, channels, height, width) of one image, or of a window of it."""

    pyramid: Pyramid
    geometry: ImageGeometry  # of the whole image
    window: Window | None = None  # None: all of it

    @property
    def original_pixels(self) -> float:
        """Pixels of the original image under the window; padding is not counted."""
        if self.window is None:
            return self.geometry.original_pixels()
        return self.geometry.original_pixels(self.window.top, self.window.left, self.window.height, self.window.width)

    @property
    def pyramid_bytes(self) -> int:
        """Size in memory of the levels."""
        return sum(level.nbytes for level in self.pyramid.values())


def random_window(geometry: ImageGeometry, size: int, spec: PyramidSpec, rng: np.random.Generator) -> Window:
    """A random window of `size` x `size`, aligned to the coarsest stride; shorter sides are taken whole."""
    top, height = _random_span(geometry.canvas[0], size, spec.coarsest_stride, rng)
    left, width = _random_span(geometry.canvas[1], size, spec.coarsest_stride, rng)
    return Window(top, left, height, width)


def _random_span(length: int, size: int, stride: int, rng: np.random.Generator) -> tuple[int, int]:
    if size >= length:
        return 0, length
    return int(rng.integers((length - size) // stride + 1)) * stride, size


def check_window(window: Window, canvas: tuple[int, int], spec: PyramidSpec) -> None:
    """Raise `PyramidError` unless all levels can be cut along `window`."""
    spans = ((window.top, window.height, canvas[0]), (window.left, window.width, canvas[1]))
    for start, length, end in spans:
        inside = start >= 0 and length > 0 and start + length <= end
        aligned = start % spec.coarsest_stride == 0 and (length % spec.coarsest_stride == 0 or start + length == end)
        if not (inside and aligned):
            raise PyramidError(
                f"window: required within {canvas[0]} x {canvas[1]} pixels, starting at multiples of "
                f"{spec.coarsest_stride} and of such a size unless it ends with them; found {window}"
            )


def cells(window: Window, stride: int) -> tuple[slice, slice]:
    """Rows and columns of a level under an aligned window; slicing cuts them at the level's end."""
    return (
        slice(window.top // stride, -(-(window.top + window.height) // stride)),
        slice(window.left // stride, -(-(window.left + window.width) // stride)),
    )


def crop(features: Features, window: Window, spec: PyramidSpec) -> Features:
    """Cut a window out of whole features. Raises `PyramidError` if it is not aligned."""
    check_window(window, features.geometry.canvas, spec)
    levels = {
        level.name: features.pyramid[level.name][(..., *cells(window, level.stride))].contiguous()
        for level in spec.levels
    }
    return Features(Pyramid(levels), features.geometry, window)


def as_float16(features: Features, owner: str) -> Features:
    """Round everything to float16, on the CPU.

    Raises `FpnkitError` that names `owner` if float16 cannot hold a value.
    """
    rounded = {}
    for name, level in features.pyramid.items():
        rounded[name] = level.detach().to("cpu", torch.float16)
        if not bool(rounded[name].isfinite().all()):
            raise FpnkitError(
                f"features of {owner}: level {name} holds {_most_extreme(level):g}; "
                f"required finite values of at most {torch.finfo(torch.float16).max:.0f}"
            )
    return replace(features, pyramid=Pyramid(rounded))


def as_float32(features: Features) -> Features:
    """Convert everything to float32."""
    return replace(features, pyramid=Pyramid({name: level.float() for name, level in features.pyramid.items()}))


def _most_extreme(level: Tensor) -> float:
    flat = level.flatten()
    return float(flat[flat.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).abs().argmax()])
