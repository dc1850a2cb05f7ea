"""From an image to the detector's heads: one protocol for learned codecs and anchors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from torch import Tensor

from fpnkit.detectors.base import Detections
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid


@dataclass(frozen=True)
class CoderInput:
    """One image on the sender's side, with its features."""

    image: Tensor  # uint8 RGB (3, height, width), as in the file
    pyramid: Pyramid  # (1, channel, height, width), uncompressed
    geometry: ImageGeometry
    detections: Detections | None = None  # on the uncompressed features, where they are known


@dataclass(frozen=True)
class CodedImage:
    """One encoded image, ready to be written to a file."""

    data: bytes  # the whole file
    bits_level: Mapping[str, int] = field(default_factory=dict)  # payloads by level or `shared`; empty where none are
    bits_estimated: Mapping[str, float] = field(default_factory=dict)  # by the entropy model; empty without one


@dataclass(frozen=True)
class ReceivedFeatures:
    """A decoded pyramid."""

    pyramid: Pyramid
    geometry: ImageGeometry


@dataclass(frozen=True)
class ReceivedImage:
    """A decoded image, for a detector that runs as a whole on the receiver's side."""

    image: Tensor  # uint8 RGB (3, height, width), of any size
    original: tuple[int, int]  # (height, width) in which boxes are wanted


@dataclass(frozen=True)
class ReceivedDetections:
    """What the sender's detector found: nothing is left to do."""

    detections: Detections


Received: TypeAlias = ReceivedFeatures | ReceivedImage | ReceivedDetections


class Coder(Protocol):
    """Image, pyramid or detections → bytes → the same.

    Both sides already have everything that `decode` needs beyond the bytes.
    """

    name: str  # of the curve: `factorized`, `jpeg_input`
    suffix: str  # of its files, `.fpn`

    def encode(self, source: CoderInput) -> CodedImage:
        """One image; deterministic."""
        ...

    def decode(self, data: bytes) -> Received:
        """From the bytes alone."""
        ...
