"""Matching and resampling: against COCO's own evaluation of the same set, also of one that holds images twice."""

import dataclasses
import gc
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fpnkit.config.schema import NanodetDetector
from fpnkit.data.coco import CocoSet
from fpnkit.detectors.base import Detections
from fpnkit.detectors.nanodet import build_nanodet
from fpnkit.errors import DataError
from fpnkit.metrics.bootstrap import resamples
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.matches import DetectionScores, Matches, average_precision_of, average_precisions
from fpnkit.metrics.matching import match
from tests.support.coco_sized import coco_sized
from tests.support.labeled_sets import fast_reference, found, random_set, reference, truth
from tests.support.plain_scores import plain_average_precision, plain_match

SQUARE = [10.0, 10.0, 110.0, 110.0]
BESIDE = [210.0, 10.0, 310.0, 110.0]
Labeled = tuple[list[GroundTruth], list[Detections]]


def assert_same(ours: DetectionScores, theirs: DetectionScores) -> None:
    assert (ours.map is None) == (theirs.map is None)
    if ours.map is not None:
        assert (ours.map, ours.map50) == pytest.approx((theirs.map, theirs.map50), abs=1e-9)


@st.composite
def small_sets(draw: st.DrawFn) -> Labeled:
    """Few places, sizes and scores, so that equal overlaps, equal scores and thresholds hit exactly are common."""
    box = st.builds(
        lambda x, y, width, height: [float(x), float(y), float(x + width), float(y + height)],
        *(st.sampled_from([0, 2, 4, 5]), st.sampled_from([0, 3])),
        *(st.sampled_from([4, 5, 6, 10]), st.sampled_from([10, 20])),
    )
    label = st.integers(1, 3)
    objects = st.lists(st.tuples(box, label, st.sampled_from([False, False, False, True])), max_size=5)
    hits = st.lists(st.tuples(box, st.sampled_from([0.25, 0.5, 0.75]), st.integers(1, 4)), max_size=8)
    images = draw(st.lists(st.tuples(objects, hits), min_size=1, max_size=5))
    ids = draw(st.permutations(range(1, len(images) + 1)))
    labeled = [
        truth(*(one[0] for one in o), labels=[one[1] for one in o], crowd=[one[2] for one in o], image_id=number)
        for number, (o, _) in zip(ids, images, strict=True)
    ]
    detected = [
        found(*(one[0] for one in h), scores=[one[1] for one in h], labels=[one[2] for one in h]) for _, h in images
    ]
    return labeled, detected


@given(small_sets())
@settings(max_examples=150)
def test_scores_equal_cocos_for_any_set(labeled_and_detected: Labeled) -> None:
    matches = match(*labeled_and_detected)
    assert_same(average_precision_of(matches), fast_reference(*labeled_and_detected))


def assert_equal(ours: Matches, theirs: Matches) -> None:
    for name, values in vars(theirs).items():
        own = getattr(ours, name)
        assert own.dtype == values.dtype, name
        assert np.array_equal(own, values), name


@given(small_sets())
@settings(max_examples=150)
def test_all_images_at_once_are_matched_as_one_by_one(labeled_and_detected: Labeled) -> None:
    assert_equal(match(*labeled_and_detected), plain_match(*labeled_and_detected))


@given(small_sets(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_resamples_score_as_the_plain_formula_says(labeled_and_detected: Labeled, seed: int) -> None:
    matches = match(*labeled_and_detected)
    weights = np.random.default_rng(seed).integers(0, 4, (20, len(matches.objects)))  # as numpy alone and row by row
    for count in (1, 20):
        together = np.stack(average_precisions(matches, weights[:count]), axis=1)
        expected = [plain_average_precision(matches, row) for row in weights[:count]]
        np.testing.assert_allclose(together, expected, atol=1e-12)


def test_large_sets_are_matched_and_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pairs and a thousand numbers at a time."""
    monkeypatch.setattr("fpnkit.metrics.matching._MOST_PAIRS", 100)
    labeled, detected = coco_sized(60)
    matches = match(labeled, detected)
    assert_equal(matches, plain_match(labeled, detected))
    weights = resamples(60, 50)
    whole = average_precisions(matches, weights)
    monkeypatch.setattr("fpnkit.metrics.matches._LARGEST", 1000)
    np.testing.assert_allclose(average_precisions(matches, weights), whole, atol=1e-12)
    np.testing.assert_allclose(whole[0][:5], [plain_average_precision(matches, row)[0] for row in weights[:5]])


def repeated(labeled: list[GroundTruth], detected: list[Detections], weights: np.ndarray) -> Labeled:
    """A set that really holds each image as many times as its weight."""
    rows = [row for row, weight in enumerate(weights) for _ in range(weight)]
    return (
        [dataclasses.replace(labeled[row], image_id=number) for number, row in enumerate(rows, start=1)],
        [detected[row] for row in rows],
    )


@pytest.mark.parametrize("seed", range(8))
def test_weights_equal_a_set_that_holds_images_several_times(seed: int) -> None:
    labeled, detected = random_set(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(labeled))

    scores = average_precision_of(match(labeled, detected), weights)

    assert_same(scores, fast_reference(*repeated(labeled, detected, weights)))


@given(st.lists(st.integers(0, 3), min_size=30, max_size=30), st.integers(0, 3))
@settings(max_examples=25)
def test_weights_equal_a_set_that_holds_images_several_times_for_any_weights(weights: list[int], seed: int) -> None:
    labeled, detected = random_set(seed)
    scores = average_precision_of(match(labeled, detected), np.array(weights))
    assert_same(scores, fast_reference(*repeated(labeled, detected, np.array(weights))))


def test_many_resamples_at_once_equal_one_at_a_time() -> None:
    matches = match(*random_set(1))
    weights = np.random.default_rng(0).integers(0, 3, (7, 30))

    together = np.stack(average_precisions(matches, weights), axis=1)

    one_by_one = [average_precision_of(matches, row) for row in weights]
    np.testing.assert_allclose(together, [(scores.map, scores.map50) for scores in one_by_one], atol=1e-12)


def test_a_category_that_a_resample_misses_is_left_out_of_the_average() -> None:
    labeled = [truth(SQUARE, labels=[1]), truth(SQUARE, labels=[2], image_id=2)]
    matches = match(labeled, [found(SQUARE, labels=[1]), found()])

    assert average_precision_of(matches).map == pytest.approx(0.5)
    assert average_precision_of(matches, np.array([2, 0])).map == pytest.approx(1)
    assert average_precision_of(matches, np.array([0, 1])) == DetectionScores(0.0, 0.0)
    assert average_precision_of(matches, np.array([0, 0])) == DetectionScores(None, None)


@pytest.mark.parametrize("nothing", [[truth()], [truth(SQUARE, crowd=[True])], []])
def test_nothing_labeled_cannot_be_scored(nothing: list[GroundTruth]) -> None:
    matches = match(nothing, [found(SQUARE)] * len(nothing))
    assert average_precision_of(matches) == DetectionScores(None, None)


def test_of_objects_that_overlap_equally_the_last_is_taken() -> None:
    """As COCO does: the first detection takes the right object, so that nothing is left for the second."""
    labeled = [truth([0.0, 0.0, 10.0, 10.0], [4.0, 0.0, 14.0, 10.0])]
    detected = [found([2.0, 0.0, 12.0, 10.0], [4.0, 0.0, 14.0, 10.0])]

    matches = match(labeled, detected)

    assert matches.matched[0].tolist() == [True, False]
    assert_same(average_precision_of(matches), fast_reference(labeled, detected))


def test_no_detections_score_zero() -> None:
    assert average_precision_of(match([truth(SQUARE)], [found()])) == DetectionScores(0.0, 0.0)


def test_a_hundred_detections_of_an_image_and_category_count() -> None:
    boxes = [BESIDE] * 100 + [SQUARE]
    scores = [0.9] * 100 + [0.1]
    one_category = found(*boxes, scores=scores)
    two_categories = found(*boxes, scores=scores, labels=[2] * 100 + [1])

    for detected, expected in ((one_category, 0.0), (two_categories, 0.5)):
        labeled = [truth(SQUARE, BESIDE, labels=[1, 2])] if detected is two_categories else [truth(SQUARE)]
        matches = match(labeled, [detected])
        assert_same(average_precision_of(matches), fast_reference(labeled, [detected]))
        assert matches.matched[0, matches.category == 1].sum() == (2 * expected)


def test_matches_say_what_was_found_where() -> None:
    labeled = [truth(), truth(SQUARE, [200.0, 0.0, 400.0, 200.0], labels=[7, 7], crowd=[False, True], image_id=4)]
    detected = [found(SQUARE, labels=[7]), found(SQUARE, [300.0, 0, 390, 90], BESIDE, labels=[7, 7, 3])]

    matches = match(labeled, detected)

    assert matches.image.tolist() == [0, 1, 1]
    assert matches.category.tolist() == [7, 7, 7]
    assert matches.score.tolist() == pytest.approx([0.9, 0.9, 0.8])
    assert matches.matched.tolist() == [[False, True, False]] * 10
    assert matches.ignored.tolist() == [[False, False, True]] * 10
    assert matches.objects.tolist() == [[0], [1]]
    assert matches.categories.tolist() == [7]


def test_an_image_twice_is_refused() -> None:
    with pytest.raises(DataError) as error:
        match([truth(SQUARE, image_id=8), truth(SQUARE, image_id=8)], [found(), found()])
    assert str(error.value) == "image ids: required unique ones, found 8 more than once"


def test_matches_come_back_from_their_file(tmp_path: Path) -> None:
    matches = match(*random_set(2))
    matches.save(tmp_path / "matches.npz")

    loaded = Matches.load(tmp_path / "matches.npz")

    assert [path.name for path in tmp_path.iterdir()] == ["matches.npz"]
    for name, values in vars(matches).items():
        stored = getattr(loaded, name)
        assert stored.dtype == values.dtype
        assert np.array_equal(stored, values)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        Matches.load(tmp_path / "matches.npz")
    assert str(error.value) == (
        f"{tmp_path / 'matches.npz'}: required matched detections, found: No such file or directory"
    )


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matches.npz"
    match(*random_set(2)).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(DataError) as error:
            Matches.load(path)
        told = str(error.value)
        del error  # with it the frames that hold the file
        gc.collect()
    assert told == f"{path}: required matched detections, found something else (File is not a zip file)"
    assert [str(each.message) for each in caught] == []  # no file was left open


def test_real_detections_score_as_cocos_evaluation_and_pycocotools_say(real_data: Path) -> None:
    """NanoDet on photographs: our counting, faster-coco-eval and the reference implementation agree."""
    detector = build_nanodet(NanodetDetector(kind="nanodet_m", weights=str(real_data / "weights" / "nanodet_m.pth")))
    folder = real_data / "coco-val206"
    labeled, detected = [], []
    for sample in CocoSet(folder / "images", folder / "annotations.json", limit=60):
        batch = detector.prepare([sample.image])
        detected += detector.detect(detector.complete(detector.pyramid(batch)), batch.geometry)
        labeled.append(GroundTruth.of(sample))
    matches = match(labeled, detected)
    weights = np.random.default_rng(0).multinomial(len(labeled), [1 / len(labeled)] * len(labeled))

    scores = average_precision_of(matches)

    assert scores.map is not None
    assert 0.15 < scores.map < 0.6
    assert_same(scores, fast_reference(labeled, detected))
    assert (scores.map, scores.map50) == pytest.approx(reference(labeled, detected), abs=1e-9)
    assert_same(average_precision_of(matches, weights), fast_reference(*repeated(labeled, detected, weights)))
    assert torch.cat([image.crowd for image in labeled]).any()
