"""The one way to code an image and judge the result, for evaluation, analysis and panels."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from fpnkit.codecs.coder import (
    CodedImage,
    Coder,
    CoderInput,
    Received,
    ReceivedDetections,
    ReceivedFeatures,
    ReceivedImage,
)
from fpnkit.data.images import ImageSet, Sample
from fpnkit.data.segments import encode
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detections, Detector
from fpnkit.detectors.device import CPU
from fpnkit.detectors.one_image import detections_in, features_of
from fpnkit.errors import UserError
from fpnkit.foundation.files import write_bytes
from fpnkit.foundation.steps import Step, Tell, nobody
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from fpnkit.runs.results import Part

_INSIDE = 0.5  # a mask is larger, as in COCO's evaluation of Mask R-CNN


@dataclass(frozen=True)
class Transmission:
    """One image, as sent and as received."""

    coded: CodedImage
    features: ReceivedFeatures  # of a received image, the detector's; without levels where detections were received
    detections: Detections
    encode_seconds: float  # pyramid or image → bytes
    decode_seconds: float  # bytes → pyramid or image


@dataclass(frozen=True)
class Bench:
    """A detector and the images that coders are measured on. Detections are always on the CPU."""

    detector: Detector
    images: ImageSet
    fingerprint: str  # of the detector
    device: torch.device = field(default=CPU, kw_only=True)  # where detector and learned coders are
    parts: tuple[Part, ...] = field(default=(), kw_only=True)  # scored besides boxes; others are dropped

    @property
    def categories(self) -> Mapping[int, str]:
        """Category names by id: the data set's, or the detector's if nothing is labeled."""
        return {**self.detector.class_names, **{category.id: category.name for category in self.images.categories}}

    def features(self, sample: Sample) -> Features:
        """Uncompressed features of one image, on the device."""
        features = features_of(self.detector, sample.image)
        return replace(features, pyramid=features.pyramid.to(self.device))

    def detect(self, features: Features) -> Detections:
        """Detections on uncompressed features."""
        found = detections_in(self.detector, features.pyramid.to(self.device), features.geometry)
        return self._kept(found.to(CPU))

    def _kept(self, found: Detections) -> Detections:
        """What is scored of detections on the CPU, small enough that those of a whole set fit into memory."""
        there = {"mask": found.masks is not None, "keypoint": found.keypoints is not None}
        for part in self.parts:
            if not there[part]:
                raise UserError(f"detector {self.detector.name}: required {part}s, which it promises, found none")
        masks, keypoints = found.masks, found.keypoints
        return replace(
            found,
            masks=None,
            keypoints=None if keypoints is None or "keypoint" not in self.parts else keypoints,
            keypoint_scores=None,
            rles=None if masks is None or "mask" not in self.parts else encode((masks[:, 0] > _INSIDE).numpy()),
        )

    @torch.no_grad()
    def send(self, coder: Coder, source: CoderInput, path: Path | None = None, tell: Tell = nobody) -> Transmission:
        """Encode to bytes, through the file `path` if given, decode, and run the heads.

        Each half is timed until its result is there, on a device as well.
        """
        tell(Step("encoding"))
        self._wait()
        start = time.perf_counter()
        coded = coder.encode(source)
        encode_seconds = time.perf_counter() - start
        data = coded.data if path is None else _through_file(path, coded.data)
        tell(Step("decoding"))
        start = time.perf_counter()
        received = coder.decode(data)
        self._wait()
        decode_seconds = time.perf_counter() - start
        tell(Step("detecting"))
        features = self._features_of(received, source.geometry)
        if isinstance(received, ReceivedDetections):
            found = received.detections
        else:
            found = self._kept(detections_in(self.detector, features.pyramid, features.geometry).to(CPU))
        return Transmission(coded, features, found, encode_seconds, decode_seconds)

    def _features_of(self, received: Received, sent: ImageGeometry) -> ReceivedFeatures:
        """A decoded image goes through the whole detector; its boxes are reported in the original's pixels."""
        match received:
            case ReceivedFeatures():
                return ReceivedFeatures(received.pyramid.to(self.device), received.geometry)
            case ReceivedImage():
                features = features_of(self.detector, received.image)
                geometry = replace(features.geometry, original=received.original)
                return ReceivedFeatures(features.pyramid.to(self.device), geometry)
            case ReceivedDetections():
                return ReceivedFeatures(Pyramid({}), sent)

    def _wait(self) -> None:
        """Until the device has done what it was told to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def _through_file(path: Path, data: bytes) -> bytes:
    write_bytes(path, data)
    return path.read_bytes()
