"""What fpnkit requires of a detector: one protocol and its data types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fpnkit.data.segments import Rle
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec
from fpnkit.runs.results import PARTS, Part


@dataclass(frozen=True)
class ImageBatch:
    """Network input and the geometry of each image in it."""

    pixels: Tensor  # (batch, 3, height, width), normalized and padded
    geometry: tuple[ImageGeometry, ...]


@dataclass(frozen=True)
class Detections:
    """Detections in one image, best score first, in coordinates of the original image."""

    boxes: Tensor  # (n, 4) left, top, right, bottom in pixels
    scores: Tensor  # (n,) in [0, 1]
    labels: Tensor  # (n,) category ids of the data set the detector was trained on
    masks: Tensor | None = None  # (n, 1, height, width) in [0, 1]
    keypoints: Tensor | None = None  # (n, points, 3): x, y, visibility
    keypoint_scores: Tensor | None = None  # (n, points)
    rles: tuple[Rle, ...] | None = None  # (n,) `masks` above 0.5: a whole set's do not fit into memory otherwise

    def to(self, device: torch.device) -> Detections:
        """The same on a device."""
        moved: dict[str, Any] = {n: value.to(device) for n, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


class Detector(Protocol):
    """A detector cut at its feature pyramid.

    `detect(complete(pyramid(batch)), batch.geometry)` is exactly the detector's own forward pass. `pyramid` returns
    only what has to be transmitted; `complete` regenerates the rest. Always in evaluation mode, without gradients,
    float32.
    """

    @property
    def name(self) -> str:
        """Name in logs, tables and folder names."""
        ...

    @property
    def spec(self) -> PyramidSpec:
        """Of what `pyramid` returns."""
        ...

    @property
    def class_names(self) -> Mapping[int, str]:
        """Category id → name; empty if unknown."""
        ...

    @property
    def trainable(self) -> nn.Module | None:
        """The module that holds the detector's weights; None for a detector that cannot be trained.

        In training mode it works like torchvision's detectors: it takes images in [0, 1] and targets, and returns named
        losses. In evaluation mode `detect` sees the trained weights.
        """
        ...

    def to(self, device: torch.device) -> None:
        """Move the weights; images and pyramids are then on this device."""
        ...

    def prepare(self, images: Sequence[Tensor]) -> ImageBatch:
        """uint8 RGB images (3, height, width), sizes may differ → network input."""
        ...

    def pyramid(self, batch: ImageBatch) -> Pyramid:
        """Backbone and FPN, on the sender's side."""
        ...

    def complete(self, pyramid: Pyramid) -> Pyramid:
        """Add the levels that can be computed exactly from the transmitted ones, on the receiver's side."""
        ...

    def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        """Heads and post-processing, on the receiver's side."""
        ...

    def fingerprint(self) -> str:
        """Hash of everything the pyramid of an image depends on: weights, preprocessing, split point."""
        ...


def also_found(detector: Detector) -> tuple[Part, ...]:
    """What the detector finds of an object besides its box, by its optional attribute `also_finds`.

    `mask`: `Detections.masks`; `keypoint`: `Detections.keypoints`, COCO's 17 of a person in its order.
    """
    promised = getattr(detector, "also_finds", ())
    return tuple(part for part in PARTS if part in promised)


@dataclass(frozen=True)
class Places:
    """Where a head looks if the pyramid itself decides on it: proposals or detections, of each image its own number."""

    boxes: Sequence[Tensor]  # (n, 4) left, top, right, bottom in pixels of the canvas
    labels: Sequence[Tensor]  # (n,) the class whose box or mask counts there
    weights: Sequence[Tensor]  # (n,) how much it counts: the score of a detection
    cells: Sequence[Tensor] = ()  # (n,) numbers of the cells that were chosen, where a head starts from cells


@dataclass(frozen=True)
class HeadOutput:
    """What one head says at each of its places: cells, anchors, proposals or detections."""

    logits: Tensor | None = None  # (batch, place, class); None: it says nothing about classes
    threshold: float = 0.0  # scores below it never become detections
    exclusive: bool = False  # the classes, background first, exclude each other; else each has a score of its own
    bins: Tensor | None = None  # (batch, place, side, bin): logits of the distribution of each distance
    offsets: Tensor | None = None  # (batch, place, n): where the box lies, in any unit
    tenth: Tensor | float = 1.0  # of the box's size, in the unit of `offsets`, to whose shape it is expanded
    weight: Tensor | None = None  # (batch, place), 0 where an image has fewer places than others; None: 1
    maps: Tensor | None = None  # (batch, place, pixels): logits of masks, or of keypoints' heat maps if `peaks`
    peaks: bool = False  # each row of `maps` is one distribution over its pixels
    places: Places | None = None  # what `fixed` has to bring along; None: cells and anchors are the same for all


HeadOutputs = Mapping[str, HeadOutput]  # name of the head → its output


@runtime_checkable
class DetectorWithHeads(Detector, Protocol):
    """A detector that also has `heads`, which is optional: a codec can be trained for its heads, and searched with.

    To write one: run the layers behind `complete` and `detect`, but with gradients with respect to the pyramid, and
    stop before scores become a list of detections.

    - Evaluation mode. Weights of `trainable` are frozen by the caller while it runs; others must not require gradients.
    - The same places in the same order for all pyramids of equal sizes. If the pyramid chooses them, as proposals, they
      go into `HeadOutput.places`, and come from there whenever `fixed` is given.
    - An image's output does not depend on the others in the batch; images with fewer places are padded at `weight` 0.
    - `geometry` may be that of a window of an image, with little picture in it or none.
    """

    def heads(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], fixed: HeadOutputs | None = None
    ) -> HeadOutputs:
        """Raw outputs for what `Detector.pyramid` returned, or for its decoded counterpart, with gradients.

        `fixed`: the outputs on the originals, whose places are taken over, so that those of both correspond.
        """
        ...
