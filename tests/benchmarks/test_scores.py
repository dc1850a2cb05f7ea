"""Matching, average precision and its interval at COCO's size: 5,000 images, 80 classes, 100 detections an image.

Beside faster-coco-eval, whose matching and counting are in C++, restricted to what fpnkit computes: objects of all
sizes, 100 detections. It cannot resample; for that its `accumulate` is run ten times in place of a thousand.
"""

import resource
from collections.abc import Callable

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from fpnkit.metrics.bootstrap import COUNT, map_interval
from fpnkit.metrics.coco_format import detections_to_coco, truth_to_coco
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from tests.support.coco_sized import coco_sized
from tests.support.in_turns import in_turns

pytestmark = pytest.mark.benchmark

IMAGES = 5000
CALLS = 10  # of accumulate


def theirs(
    entries: dict[str, list[dict[str, object]]], results: list[dict[str, object]], *, separate: bool = False
) -> COCOeval_faster:
    """`separate`: `evaluate` only matches, and `accumulate` counts; else `evaluate` does both."""
    objects = COCO(entries)
    evaluation = COCOeval_faster(
        objects, objects.loadRes(results), iouType="bbox", print_function=lambda *_: None, separate_eval=separate
    )
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [100]
    return evaluation


def mean_precision(evaluation: COCOeval_faster) -> float:
    precision = evaluation.eval["precision"]
    return float(np.mean(precision[precision > -1]))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def test_matching_precision_and_interval_beside_faster_coco_eval() -> None:
    truth, detections = coco_sized(IMAGES)
    before = peak_mb()
    matches = match(truth, detections)
    bounds = map_interval(matches)
    after = peak_mb()
    entries = truth_to_coco(truth)
    ids = [image.image_id for image in truth]
    results = [entry for pair in zip(ids, detections, strict=True) for entry in detections_to_coco(*pair)]

    def their_scores() -> Callable[[], float | None]:
        evaluation = theirs(entries, results)

        def work() -> float | None:
            evaluation.evaluate()
            evaluation.accumulate()
            return mean_precision(evaluation)

        return work

    found = in_turns(lambda: lambda: average_precision_of(match(truth, detections)).map, their_scores, 3)
    print(found.table("mAP of 5,000 images", ("match, average_precision_of", "evaluate, accumulate"), 1, "set"))
    for ours, other in found.pairs:
        assert ours.result == pytest.approx(other.result, abs=1e-9)

    evaluation = theirs(entries, results, separate=True)
    evaluation.evaluate()

    def accumulated() -> object:
        for _ in range(CALLS):
            evaluation.accumulate()
        return None

    resampled = in_turns(lambda: lambda: map_interval(matches), lambda: accumulated, 2)
    names = (f"map_interval, {COUNT} resamples", f"accumulate, {CALLS} times")
    print(resampled.table("interval of mAP", names, 1, "interval"))
    ratios = [a.seconds / (b.seconds * COUNT / CALLS) for a, b in resampled.pairs]
    print(f"of {COUNT} times accumulate: {', '.join(f'{ratio:.4f}' for ratio in ratios)}")
    print(f"memory: {after - before:.0f} MB more than the set itself, at most")
    assert bounds is not None
    assert bounds[0] < found.pairs[0][0].result < bounds[1]  # type: ignore[operator]
    assert after - before < 500
