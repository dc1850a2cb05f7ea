"""Build the image sets from the settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fpnkit.config.schema import CocoData, Data, FolderData, HoldoutData, ImageSource, ShapesData
from fpnkit.data.coco import CocoSet
from fpnkit.data.folder import FolderSet
from fpnkit.data.images import ImageSet, Sample
from fpnkit.data.shapes import ShapesSet
from fpnkit.errors import DataError
from fpnkit.runs.results import Part


class Subset:
    """Some images of a set."""

    def __init__(self, images: ImageSet, indices: Sequence[int], name: str) -> None:
        self._images, self._indices = images, list(indices)
        self.name, self.categories = name, images.categories

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._images[self._indices[index]]

    def identity(self, index: int) -> str:
        """As in the whole set."""
        return self._images.identity(self._indices[index])

    def title(self, index: int) -> str:
        """As in the whole set."""
        return self._images.title(self._indices[index])

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, without decoding the image."""
        return self._images.size(self._indices[index])

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Check these images only."""
        self._images.check([self._indices[i] for i in (range(len(self)) if indices is None else indices)])


def build_image_set(source: ImageSource, parts: Sequence[Part] = ()) -> ImageSet:
    """The image set that a section of the configuration describes, with labels of `parts` if there are any.

    Raises `DataError`.
    """
    match source:
        case ShapesData():
            return ShapesSet(source.images, source.seed)
        case CocoData():
            folder, file = Path(source.images), Path(source.annotations)
            return CocoSet(folder, file, source.limit, strict=source.annotations_check, parts=parts)
        case FolderData():
            return FolderSet(Path(source.images), source.limit)


def build_image_sets(data: Data, seed: int) -> tuple[ImageSet, ImageSet]:
    """Training and validation images; a holdout is drawn from the training set with `seed` and removed from it.

    Raises `DataError`, also if the holdout would leave nothing to train on.
    """
    train = build_image_set(data.train)
    if not isinstance(data.val, HoldoutData):
        return train, build_image_set(data.val)
    held_out = max(1, len(train) // 10) if data.val.images is None else data.val.images
    if held_out >= len(train):
        raise DataError(
            f"data.val: a holdout of {held_out} images leaves nothing to train on; "
            f"required fewer than the training set has ({len(train)} in {train.name})"
        )
    order = np.random.default_rng(seed).permutation(len(train)).tolist()
    return (
        Subset(train, sorted(order[held_out:]), f"{train.name}_train"),
        Subset(train, sorted(order[:held_out]), f"{train.name}_holdout"),
    )
