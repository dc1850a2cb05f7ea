"""COCO's average precision (Lin et al. 2014, arXiv:1405.0312): one for ceilings, points, validation and analysis.

It is our own and not a library's because an interval counts the same matches for a thousand resamples, which no library
offers, and because a ceiling and the points below it must not come from two implementations. The tests compare it with
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
    """The detector's own confident detections on uncompressed features, taken as labels; none is a crowd."""
    return [
        GroundTruth(image.image_id, found.boxes[sure], found.labels[sure], torch.zeros(int(sure.sum())).bool())
        for image, found in zip(truth, detections, strict=True)
        for sure in [found.scores >= SELF_MAP_SCORE]
    ]
