"""COCO's average precision (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

from collections.abc import Sequence

from faster_coco_eval import COCO, COCOeval_faster

from fpnkit.detectors.base import Detections
from fpnkit.errors import DataError
from fpnkit.metrics.coco_format import GroundTruth, detections_to_coco, truth_to_coco
from fpnkit.metrics.matches import DetectionScores


def average_precision(truth: Sequence[GroundTruth], detections: Sequence[Detections]) -> DetectionScores:
    """Score the detections of each image against its truth, at most 100 of an image; both in the same order.

    Categories are those of the truth: what is detected of another one counts nothing, as COCO has it.
    """
    ids = check_image_ids(truth)
    if all(bool(image.crowd.all()) for image in truth):
        return DetectionScores(None, None)
    results = [entry for image in zip(ids, detections, strict=True) for entry in detections_to_coco(*image)]
    if not results:
        return DetectionScores(0.0, 0.0)
    labelled = COCO(truth_to_coco(truth))
    evaluation = COCOeval_faster(labelled, labelled.loadRes(results), iouType="bbox", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return DetectionScores(float(evaluation.stats[0]), float(evaluation.stats[1]))


def check_image_ids(truth: Sequence[GroundTruth]) -> list[int]:
    """The ids, in order. Raises `DataError` where an image stands twice."""
    ids = [image.image_id for image in truth]
    if len(set(ids)) != len(ids):
        twice = sorted({image_id for image_id in ids if ids.count(image_id) > 1})
        raise DataError(f"image ids: required unique ones, found {', '.join(map(str, twice[:5]))} more than once")
    return ids


def _silent(*_: object) -> None:
    pass
