"""Images as people have them."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fpnkit.data.files import read_rgb
from fpnkit.errors import DataError

ImageLike = str | PathLike[str] | Image.Image | NDArray[np.uint8] | Tensor
_GRAY, _COLOR = 2, 3  # dimensions


def to_rgb(image: ImageLike) -> Tensor:
    """uint8 RGB (3, height, width) of any of these; arrays are (height, width, 3) and tensors (3, height, width).

    Both are uint8; gray images are taken too. Raises `DataError` for anything else.
    """
    if isinstance(image, str | PathLike):
        return read_rgb(Path(os.path.expanduser(image)), upright=True)
    if isinstance(image, Image.Image):
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
    if isinstance(image, np.ndarray):
        _require(image.dtype == np.uint8, image.dtype, image.shape)
        array = np.repeat(image[..., None], 3, -1) if image.ndim == _GRAY else image
        _require(array.ndim == _COLOR and array.shape[2] == 3 and array.size > 0, image.dtype, image.shape)
        return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).contiguous()
    if isinstance(image, Tensor):
        tensor = image.detach().cpu()
        tensor = tensor.expand(3, -1, -1) if tensor.ndim == _GRAY else tensor
        fits = tensor.dtype == torch.uint8 and tensor.ndim == _COLOR and tensor.shape[0] == 3 and tensor.numel() > 0
        _require(fits, image.dtype, tuple(image.shape))
        return tensor.contiguous()
    raise DataError(f"image: required a path, a Pillow image, an array or a tensor, found {type(image).__name__}")


def _require(condition: bool, kind: object, shape: tuple[int, ...]) -> None:
    if not condition:
        raise DataError(
            "image: required uint8, an array (height, width, 3) or a tensor (3, height, width); "
            f"found {str(kind).removeprefix('torch.')} of {' x '.join(map(str, shape))}"
        )
