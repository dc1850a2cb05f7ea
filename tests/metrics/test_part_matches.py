"""Masks and keypoints: AP as pycocotools computes it, read from the same file."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpnkit.data.coco import CocoSet
from fpnkit.detectors.base import Detections
from fpnkit.metrics.bootstrap import map_interval
from fpnkit.metrics.coco_format import (
    GroundTruth,
    detections_from_coco,
    detections_to_coco,
    truth_from_coco,
    truth_to_coco,
)
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from fpnkit.metrics.overlaps import KINDS
from fpnkit.runs.results import PARTS, Part
from tests.support.labeled_parts import HEIGHT, WIDTH, random_content, random_detections, their_scores

THEIR_NAMES = {"mask": "segm", "keypoint": "keypoints"}
BOX = [10.0, 10.0, 20.0, 20.0]  # left, top, width, height


def labels_of(content: dict, folder: Path) -> list[GroundTruth]:
    (folder / "images").mkdir(exist_ok=True)
    for image in content["images"]:
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images" / image["file_name"])
    (folder / "set.json").write_text(json.dumps(content))
    images = CocoSet(folder / "images", folder / "set.json", strict=False, parts=PARTS)
    assert images.parts == PARTS
    return [GroundTruth.of(sample) for sample in images]


def results_of(truth: list[GroundTruth], detections: list[Detections]) -> list[dict]:
    ids = [image.image_id for image in truth]
    return [entry for pair in zip(ids, detections, strict=True) for entry in detections_to_coco(*pair)]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_pycocotools(part: Part, seed: int, tmp_path: Path) -> None:
    content = random_content(seed)
    truth, detections = labels_of(content, tmp_path), random_detections(content, seed + 100)
    expected = their_scores(copy.deepcopy(content), results_of(truth, detections), THEIR_NAMES[part])

    matches = match(truth, detections, KINDS[part])

    scores = average_precision_of(matches)
    assert 0.1 < expected[0] < 0.9
    assert matches.ignored.any()
    assert (scores.map, scores.map50) == pytest.approx(expected, abs=1e-9)
    low, high = map_interval(matches, 100) or (1, 0)
    assert low < expected[0] < high


@pytest.mark.parametrize("part", PARTS)
def test_labels_and_detections_come_back_from_their_files(part: Part, tmp_path: Path) -> None:
    content = random_content(7)
    truth, detections = labels_of(content, tmp_path), random_detections(content, 8)
    stored = truth_from_coco(json.loads(json.dumps(truth_to_coco(truth))))
    found = [
        detections_from_coco(json.loads(json.dumps(detections_to_coco(image.image_id, each))))
        for image, each in zip(truth, detections, strict=True)
    ]
    first, second = match(truth, detections, KINDS[part]), match(stored, found, KINDS[part])
    for name, values in vars(first).items():
        assert np.array_equal(values, getattr(second, name)), name
    assert first.matched.any()


def person(*known: int, **more: object) -> dict:
    """A square with these of its points labeled, all at its center."""
    points = np.zeros((17, 3))
    points[list(known)] = 20, 20, 2
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 400.0, "iscrowd": 0}
    return entry | {"keypoints": points.ravel().tolist(), "num_keypoints": len(known)} | more


def set_of(*annotations: dict) -> dict:
    numbered = [entry | {"id": number} for number, entry in enumerate(annotations, start=1)]
    image = {"id": 1, "file_name": "1.png", "height": HEIGHT, "width": WIDTH}
    return {"images": [image], "annotations": numbered, "categories": [{"id": 1, "name": "person"}]}


def people(*shifts: float) -> Detections:
    """All points this far to the right of the center; best first."""
    points = torch.ones(len(shifts), 17, 3)
    points[:, :, 0] = 20 + torch.tensor(shifts)[:, None]
    points[:, :, 1] = 20
    boxes = torch.tensor([[10.0, 10, 30, 30]]).repeat(len(shifts), 1)
    scores = torch.linspace(0.9, 0.1, len(shifts))
    return Detections(boxes, scores, torch.ones(len(shifts), dtype=torch.int64), keypoints=points)


def with_squares(content: dict) -> dict:
    square = [[10, 10, 30, 10, 30, 30, 10, 30]]
    return content | {"annotations": [each | {"segmentation": square} for each in content["annotations"]]}


def test_a_nose_and_a_hip_are_judged_by_their_own_spread(tmp_path: Path) -> None:
    """exp(-distance² / (2 · area · (2 sigma)²)): sigma 0.026 of a nose, 0.107 of a hip, 20 pixels the area's root."""
    noses, hips = (
        match(labels_of(with_squares(set_of(person(point))), tmp_path), [people(2.0)], KINDS["keypoint"])
        for point in (0, 11)
    )
    expected = [np.exp(-(2.0**2) / (2 * 400 * (2 * sigma) ** 2)) for sigma in (0.026, 0.107)]
    assert [each.matched[:, 0].sum() for each in (noses, hips)] == [
        sum(value >= 0.5 + 0.05 * level for level in range(10)) for value in expected
    ]


def test_a_person_without_points_is_found_once_and_counts_neither_way(tmp_path: Path) -> None:
    truth = labels_of(with_squares(set_of(person(0, 5), person())), tmp_path)

    matches = match(truth, [people(0, 0, 0)], KINDS["keypoint"])

    assert matches.objects.tolist() == [[1]]
    assert matches.matched[0].tolist() == [True, False, False]
    assert matches.ignored[0].tolist() == [False, True, False]


def test_twenty_people_of_an_image_count(tmp_path: Path) -> None:
    truth = labels_of(with_squares(set_of(person(0))), tmp_path)
    far = [60.0] * 20
    assert match(truth, [people(*far[1:], 0)], KINDS["keypoint"]).matched[0].sum() == 1
    assert match(truth, [people(*far, 0)], KINDS["keypoint"]).matched[0].sum() == 0
