"""COCO's average precision: by hand, and against the reference implementation."""

import pytest
import torch

from fpnkit.data.images import Sample
from fpnkit.errors import DataError
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.detection import DetectionScores, average_precision
from tests.support.labeled_sets import found, random_set, reference, truth

SQUARE = [10.0, 10.0, 110.0, 110.0]
BESIDE = [210.0, 10.0, 310.0, 110.0]


def test_perfect_detections_score_one() -> None:
    scores = average_precision([truth(SQUARE, BESIDE)], [found(SQUARE, BESIDE)])
    assert scores.map == pytest.approx(1)
    assert scores.map50 == pytest.approx(1)


def test_overlap_counts_at_the_thresholds_below_it() -> None:
    """100 x 72 of 100 x 100: IoU 0.72 passes .50, .55, .60, .65 and .70 of ten thresholds."""
    scores = average_precision([truth(SQUARE)], [found([10.0, 10.0, 110.0, 82.0])])
    assert scores.map == pytest.approx(0.5)
    assert scores.map50 == pytest.approx(1)


def test_missed_object_limits_recall() -> None:
    """Precision 1 up to recall 0.5: 51 of the 101 recall points."""
    scores = average_precision([truth(SQUARE, BESIDE)], [found(SQUARE)])
    assert scores.map50 == pytest.approx(51 / 101)


def test_false_detection_ahead_of_the_true_one_halves_precision() -> None:
    scores = average_precision([truth(SQUARE)], [found(BESIDE, SQUARE)])
    assert scores.map50 == pytest.approx(0.5)


def test_false_detection_behind_the_true_one_costs_nothing() -> None:
    assert average_precision([truth(SQUARE)], [found(SQUARE, BESIDE)]).map50 == pytest.approx(1)


def test_order_of_detections_in_the_tensors_does_not_matter() -> None:
    scores = average_precision([truth(SQUARE)], [found(BESIDE, SQUARE, scores=[0.1, 0.9])])
    assert scores.map50 == pytest.approx(1)


def test_categories_are_averaged() -> None:
    scores = average_precision([truth(SQUARE, BESIDE, labels=[4, 9])], [found(SQUARE, BESIDE, labels=[4, 4])])
    assert scores.map50 == pytest.approx(0.5)


def test_detections_of_categories_without_truth_count_nothing() -> None:
    scores = average_precision([truth(SQUARE)], [found(BESIDE, SQUARE, labels=[77, 1])])
    assert scores.map50 == pytest.approx(1)


def test_detections_in_a_crowd_count_neither_way() -> None:
    crowd = truth(SQUARE, [200.0, 0.0, 400.0, 200.0], crowd=[False, True])
    scores = average_precision([crowd], [found(BESIDE, SQUARE)])
    assert scores.map50 == pytest.approx(1)


def test_detections_of_an_image_meet_the_truth_of_that_image_only() -> None:
    scores = average_precision([truth(SQUARE), truth(BESIDE, image_id=2)], [found(BESIDE), found(SQUARE)])
    assert scores == DetectionScores(0.0, 0.0)


def test_a_hundred_detections_of_an_image_count() -> None:
    boxes = [BESIDE] * 100 + [SQUARE]
    late = found(*boxes, scores=[0.9] * 100 + [0.1])
    in_time = found(*boxes[1:], scores=[0.9] * 99 + [0.1])

    assert average_precision([truth(SQUARE)], [late]).map50 == pytest.approx(0)
    assert average_precision([truth(SQUARE)], [in_time]).map50 == pytest.approx(0.01)


def test_no_detections_score_zero() -> None:
    assert average_precision([truth(SQUARE)], [found()]) == DetectionScores(0.0, 0.0)


@pytest.mark.parametrize("nothing", [[truth()], [truth(SQUARE, crowd=[True])], []])
def test_nothing_labeled_cannot_be_scored(nothing: list[GroundTruth]) -> None:
    assert average_precision(nothing, [found(SQUARE)] * len(nothing)) == DetectionScores(None, None)


def test_an_image_twice_is_refused() -> None:
    with pytest.raises(DataError) as error:
        average_precision([truth(SQUARE, image_id=8), truth(SQUARE, image_id=8)], [found(), found()])
    assert str(error.value) == "image ids: required unique ones, found 8 more than once"


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    average_precision([truth(SQUARE)], [found(SQUARE)])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_truth_of_a_sample_has_no_pixels() -> None:
    labeled = truth(SQUARE, labels=[5], image_id=3)
    sample = Sample(3, torch.zeros(3, 8, 8, dtype=torch.uint8), labeled.boxes, labeled.labels, labeled.crowd)

    assert vars(GroundTruth.of(sample)) == {
        "image_id": 3,
        "boxes": sample.boxes,
        "labels": sample.labels,
        "crowd": sample.crowd,
        "masks": None,
        "keypoints": None,
        "areas": None,
    }


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_pycocotools(seed: int) -> None:
    labeled, detected = random_set(seed)
    expected = reference(labeled, detected)

    scores = average_precision(labeled, detected)

    assert 0.1 < expected[0] < 0.9
    assert (scores.map, scores.map50) == pytest.approx(expected, abs=1e-9)
