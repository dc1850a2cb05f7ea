"""What fpnkit requires of an image set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Category:
    """An object class with the data set's id."""

    id: int
    name: str
    boxes: int | None = field(default=None, compare=False)  # labeled in the set; None: not counted


@dataclass(frozen=True)
class Sample:
    """One image with its labels."""

    image_id: int
    image: Tensor  # uint8 RGB (3, height, width)
    boxes: Tensor  # float32 (n, 4) left, top, right, bottom in pixels
    labels: Tensor  # int64 (n,) category ids
    crowd: Tensor  # bool (n,): a region of many objects, ignored by AP


class ImageSet(Protocol):
    """Images in a fixed order."""

    name: str  # fit to be a file name
    categories: tuple[Category, ...]  # empty where nothing is labeled

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def identity(self, index: int) -> str:
        """A text that changes whenever the pixels may have changed."""
        ...

    def title(self, index: int) -> str:
        """Name of the image for people: its file, if there is one."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, without decoding the image."""
        ...

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Raise `DataError` that names every broken or missing image (default: of all), before anything long starts."""
        ...
