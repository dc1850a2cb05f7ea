"""What fpnkit requires of an image set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from torch import Tensor

from fpnkit.data.segments import Rle


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
    masks: tuple[Rle, ...] | None = None  # (n,); None: not labeled, or nobody asked
    keypoints: Tensor | None = None  # float64 (n, 17, 3) x, y, visibility, 0: not labeled; None as above
    areas: Tensor | None = None  # float64 (n,) of the objects in pixels, beside keypoints

    def only(self, kept: Tensor) -> Sample:
        """With some of its objects; bool (n,)."""
        masks, keypoints, areas = self.masks, self.keypoints, self.areas
        return replace(
            self,
            boxes=self.boxes[kept],
            labels=self.labels[kept],
            crowd=self.crowd[kept],
            masks=None if masks is None else tuple(masks[row] for row in kept.nonzero()[:, 0].tolist()),
            keypoints=None if keypoints is None else keypoints[kept],
            areas=None if areas is None else areas[kept],
        )


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
