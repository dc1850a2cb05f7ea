"""Sections about images, and about the features kept of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpnkit.config.section import FilePath, Section
from fpnkit.errors import ConfigError


class ShapesData(Section):
    """Procedural images of shapes with boxes; the same seed gives the same images everywhere."""

    kind: Literal["shapes"]
    images: Annotated[int, Field(gt=0, le=10_000_000)]
    """How many."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another one gives other images."""


class CocoData(Section):
    """Images with annotations in COCO format."""

    kind: Literal["coco"]
    images: FilePath
    """The folder of the image files."""
    annotations: FilePath
    """The JSON file."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """The first images of the file; default: all."""
    annotations_check: bool = True
    """Refuses labels that can hardly be right; off: only warns."""


class FolderData(Section):
    """All images below a folder, in the order of their names; no boxes."""

    kind: Literal["folder"]
    images: FilePath
    """The folder; its subfolders count."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """The first images; default: all."""


class HoldoutData(Section):
    """A part of the training set, drawn with the run's seed and removed from it."""

    kind: Literal["holdout"] = "holdout"
    images: Annotated[int, Field(gt=0)] | None = None
    """How many; default: a tenth."""


ImageSource = Annotated[ShapesData | CocoData | FolderData, Field(discriminator="kind")]
ValidationSource = Annotated[ShapesData | CocoData | FolderData | HoldoutData, Field(discriminator="kind")]


class Data(Section):
    """`test` is for final evaluation only; training never opens it, `--dry-run` does."""

    train: ImageSource
    val: ValidationSource = HoldoutData()
    test: ImageSource | None = None
    labels: dict[str, str | None] = Field({})
    """Category of the test set → the detector's name for it; null leaves it out."""

    def require_test(self) -> ImageSource:
        """The images to evaluate on. Raises ConfigError if there are none."""
        if self.test is None:
            raise ConfigError(
                ["data.test: required the images to evaluate on, found none; --set data.test.kind=… adds them"]
            )
        return self.test


class Cache(Section):
    """Pyramids of the frozen detector, kept on disk as float16."""

    directory: FilePath | None = None
    """Default: the user's cache directory."""
    budget_gb: Annotated[float, Field(ge=0)] = 20.0
    """For all pyramids in the directory; 0: none are kept."""
