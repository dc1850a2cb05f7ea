"""COCO's average precision: by hand, and against the reference implementation."""

import contextlib
import io

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fpnkit.data.images import Sample
from fpnkit.detectors.base import Detections
from fpnkit.errors import DataError
from fpnkit.metrics.detection import DetectionScores, GroundTruth, average_precision

SQUARE = [10.0, 10.0, 110.0, 110.0]
BESIDE = [210.0, 10.0, 310.0, 110.0]


def truth(
    *boxes: list[float], labels: list[int] | None = None, crowd: list[bool] | None = None, image_id: int = 1
) -> GroundTruth:
    return GroundTruth(
        image_id,
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(labels or [1] * len(boxes), dtype=torch.int64),
        torch.tensor(crowd or [False] * len(boxes), dtype=torch.bool),
    )


def found(*boxes: list[float], scores: list[float] | None = None, labels: list[int] | None = None) -> Detections:
    return Detections(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(scores or [0.9 - 0.1 * k for k in range(len(boxes))]),
        torch.tensor(labels or [1] * len(boxes), dtype=torch.int64),
    )


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
def test_nothing_labelled_cannot_be_scored(nothing: list[GroundTruth]) -> None:
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
    labelled = truth(SQUARE, labels=[5], image_id=3)
    sample = Sample(3, torch.zeros(3, 8, 8, dtype=torch.uint8), labelled.boxes, labelled.labels, labelled.crowd)

    assert vars(GroundTruth.of(sample)) == {
        "image_id": 3,
        "boxes": sample.boxes,
        "labels": sample.labels,
        "crowd": sample.crowd,
    }


# --- the reference ------------------------------------------------------------------------------------------------


def random_set(seed: int) -> tuple[list[GroundTruth], list[Detections]]:
    """Objects, some crowds; detections that are shifted objects, doubles, wrong labels and inventions."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    labelled, detected = [], []
    for image_id in range(30):
        n = int(torch.randint(0, 9, (), generator=generator))
        corners = uniform(n, 2) * 400
        boxes = torch.cat([corners, corners + 5 + uniform(n, 2) ** 2 * 200], dim=1)
        labels = torch.randint(1, 6, (n,), generator=generator)
        labelled.append(GroundTruth(image_id * 7 + 3, boxes, labels, uniform(n) < 0.1))
        size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        shifted = [boxes + size * spread * (uniform(n, 4) - 0.5) for spread in (0.15, 0.4, 0.8)]
        invented = uniform(12, 2) * 400
        candidates = torch.cat([*shifted, torch.cat([invented, invented + 10 + uniform(12, 2) * 100], dim=1)])
        candidate_labels = torch.cat([labels, labels, labels, torch.randint(1, 7, (12,), generator=generator)])
        keep = uniform(len(candidates)) < 0.7
        detected.append(Detections(candidates[keep], uniform(len(candidates))[keep], candidate_labels[keep]))
    return labelled, detected


def reference(labelled: list[GroundTruth], detected: list[Detections]) -> tuple[float, float]:
    objects, results = [], []
    for image, detections in zip(labelled, detected, strict=True):
        for (left, top, right, bottom), label, crowd in zip(
            image.boxes.double().tolist(), image.labels.tolist(), image.crowd.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": image.image_id,
                    "bbox": box,
                    "area": box[2] * box[3] / 3,  # as of a mask: decides about sizes, not about AP over all
                    "category_id": label,
                    "iscrowd": int(crowd),
                }
            )
        for (left, top, right, bottom), score, label in zip(
            detections.boxes.double().tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            results.append({"image_id": image.image_id, "bbox": box, "score": score, "category_id": label})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image.image_id} for image in labelled],
            "categories": [{"id": number} for number in range(1, 7)],
            "annotations": objects,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_pycocotools(seed: int) -> None:
    labelled, detected = random_set(seed)
    expected = reference(labelled, detected)

    scores = average_precision(labelled, detected)

    assert 0.1 < expected[0] < 0.9
    assert (scores.map, scores.map50) == pytest.approx(expected, abs=1e-9)
