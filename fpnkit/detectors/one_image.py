"""Both halves of a detector, one image at a time, for everything except training."""

from __future__ import annotations

import torch
from torch import Tensor

from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detections, Detector
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid


@torch.no_grad()
def features_of(detector: Detector, image: Tensor) -> Features:
    """The sender's half: a uint8 RGB image (3, height, width) → features to transmit."""
    batch = detector.prepare([image])
    return Features(detector.pyramid(batch), batch.geometry[0])


@torch.no_grad()
def detections_in(detector: Detector, pyramid: Pyramid, geometry: ImageGeometry) -> Detections:
    """The receiver's half: a transmitted pyramid → detections."""
    (found,) = detector.detect(detector.complete(pyramid), [geometry])
    return found
