import pandas as pd
import pytest
import torch

from fpnkit.analysis.statistics.objects import find, lost_shares, object_rows, score_bins, size_of
from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth

A, B, C = [0.0, 0, 10, 10], [100.0, 100, 150, 150], [200.0, 200, 400, 400]


def detections(*rows: tuple[list[float], int, float]) -> Detections:
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels).long())


def truth(*rows: tuple[list[float], int], crowd: tuple[bool, ...] | None = None) -> GroundTruth:
    boxes, labels = zip(*rows, strict=True) if rows else ((), ())
    flags = torch.tensor(crowd or [False] * len(rows), dtype=torch.bool)
    return GroundTruth(7, torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels).long(), flags)


def test_a_detection_finds_an_object_of_its_class_that_it_overlaps_by_half() -> None:
    boxes, labels = torch.tensor([A, B]), torch.tensor([1, 2])
    found = find(boxes, labels, detections(([0.0, 0, 10, 8], 1, 0.9), (B, 1, 0.8)))
    assert found.scores.tolist() == pytest.approx([0.9, 0])
    assert found.overlaps.tolist() == pytest.approx([0.8, 0])


def test_each_detection_takes_one_object_the_surest_first() -> None:
    boxes, labels = torch.tensor([A, [1.0, 0, 11, 10]]), torch.tensor([1, 1])
    found = find(boxes, labels, detections((A, 1, 0.5), (A, 1, 0.9)))
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])


def test_an_object_is_lost_once_its_score_falls_below_the_threshold() -> None:
    before = detections((A, 1, 0.9), (B, 2, 0.6), (C, 1, 0.4), (C, 2, 0.2))
    after = detections((A, 1, 0.8), (B, 2, 0.29))
    rows = pd.DataFrame(object_rows(truth((A, 1), (B, 1)), before, after, 0.3, {1: "cat"}))
    own = rows[rows["truth"] == "detector"]
    assert own["category"].tolist() == ["cat", "class 2", "cat"]
    assert own["size"].tolist() == ["small", "medium", "large"]
    assert own["lost"].tolist() == [False, True, True]
    assert own["score_after"].tolist() == pytest.approx([0.8, 0.29, 0])
    labeled = rows[rows["truth"] == "label"]
    assert labeled["found"].tolist() == [True, False]
    assert labeled["lost"].tolist() == [False, False]  # what was not found before cannot be lost
    assert set(rows["image"]) == {7}


def test_crowds_are_no_objects_and_images_without_anything_have_no_rows() -> None:
    rows = object_rows(truth((A, 1), crowd=(True,)), detections(), detections(), 0.3, {})
    assert rows == []


def test_sizes_are_cocos() -> None:
    assert [size_of([0, 0, side, side]) for side in (31.9, 32, 95.9, 96)] == ["small", "medium", "medium", "large"]


def test_shares_have_wilsons_interval() -> None:
    objects = pd.DataFrame({"size": ["small"] * 10 + ["large"] * 2, "lost": [True] * 5 + [False] * 7, "found": True})
    table = lost_shares(objects, "size").set_index("size")
    assert table.loc["small"].tolist() == pytest.approx([10, 5, 0.5, 0.2366, 0.7634], abs=1e-4)  # Wilson 1927
    assert table.loc["large", "low"] == 0
    assert table.loc["large", "high"] == pytest.approx(0.6576, abs=1e-4)


def test_score_bins_begin_at_the_threshold_and_hold_their_lower_edge() -> None:
    objects = pd.DataFrame({"score": [0.3, 0.39, 0.4, 0.95, 1.0], "lost": [True, False, True, False, False]})
    table = score_bins(objects.assign(found=True), 0.3)
    assert table[["score_bin", "objects", "lost"]].to_numpy().tolist() == [
        ["0.3-0.4", 2, 1],
        ["0.4-0.5", 1, 1],
        ["0.8-1", 2, 0],
    ]
