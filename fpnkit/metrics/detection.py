"""COCO's average precision (Lin et al. 2014, arXiv:1405.0312): one for ceilings, points, validation and analysis.

This is our own implementation because intervals reuse the same matches for hundreds of resamples, which no library
offers, and because a ceiling and the points below it must come from one implementation. The tests compare it with
pycocotools and faster-coco-eval.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.matches import DetectionScores, average_precision_of
from fpnkit.metrics.matching import match

SELF_MAP_SCORE = 0.3  # detections on uncompressed features that count as objects for `self_map`


def average_precision(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> DetectionScores:
    """Score the detections of each image against its truth, at most 100 of a category; both in the same order.

    Only categories of the truth count, as in COCO. Raises `DataError` if an image occurs twice.
    """
    return average_precision_of(match(truth, detections))


def self_truth(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> list[GroundTruth]:
    """The detector's own confident detections on uncompressed features, used as labels without crowds."""
    return [
        GroundTruth(image.image_id, found.boxes[sure], found.labels[sure], torch.zeros(int(sure.sum())).bool())
        for image, found in zip(truth, detections, strict=True)
        for sure in [found.scores >= SELF_MAP_SCORE]
    ]
