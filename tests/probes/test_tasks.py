"""What probes are asked for."""

import math

import pytest
import torch

from fpnkit.data.images import Sample
from fpnkit.geometry import ImageGeometry
from fpnkit.probes.tasks import PROBES, added, on_places

# 100 x 80 pixels at half the size, 20 pixels to the right of the canvas's edge.
GEOMETRY = ImageGeometry((80, 100), (40, 50), (64, 96), (0, 20))


def sample(boxes: list[list[float]], crowd: list[bool], image: torch.Tensor | None = None) -> Sample:
    picture = torch.zeros(3, 80, 100, dtype=torch.uint8) if image is None else image
    return Sample(1, picture, torch.tensor(boxes).reshape(-1, 4), torch.ones(len(boxes)).long(), torch.tensor(crowd))


def test_objects_are_where_boxes_are_and_crowds_and_padding_are_not_known() -> None:
    found = PROBES["objects"].target(sample([[0, 0, 40, 40], [60, 40, 100, 80]], [False, True]), GEOMETRY)
    assert found.shape == (64, 96)
    assert found[:20, 20:40].eq(1).all()
    assert found[20:40, 50:70].isnan().all()
    known = torch.zeros(64, 96, dtype=torch.bool)
    known[:40, 20:70] = True
    known[20:40, 50:70] = False
    assert torch.equal(~found.isnan(), known)
    assert found.nansum() == 20 * 20


def test_the_picture_is_its_luma() -> None:
    image = torch.zeros(3, 80, 100, dtype=torch.uint8)
    image[1] = 255
    found = PROBES["picture"].target(sample([], [], image), GEOMETRY)
    assert found[:40, 20:70].allclose(torch.tensor(0.587))
    assert found.isnan().sum() == 64 * 96 - 40 * 50


def test_places_are_means_and_not_known_where_a_part_is_not() -> None:
    target = torch.tensor([[0.0, 1, 4, 4], [1, 0, 4, math.nan]])
    found = on_places(target, (1, 2))
    assert found[0, 0] == 0.5
    assert found[0, 1].isnan()


def test_edges_are_where_luma_changes() -> None:
    image = torch.zeros(3, 80, 100, dtype=torch.uint8)
    image[:, :, 50:] = 255
    found = PROBES["edges"].target(sample([], [], image), GEOMETRY)
    assert found[:39, 20:44].eq(0).all()
    assert found[:39, 44].eq(1 / 0.08).all()
    assert found[39].isnan().all()  # the next row is not known


def test_objects_are_scored_by_intersection_over_union() -> None:
    task = PROBES["objects"]
    predicted, there = torch.tensor([1.0, 1, 1, -1, -1]), torch.tensor([1.0, 1, 0, 1, 0])
    first = task.sums(predicted, there)
    assert task.score(first) == pytest.approx(50)
    assert task.score(added([first, task.sums(there - 0.5, there)])) == pytest.approx(100 * 5 / 7)
    assert math.isnan(task.score((0, 0)))


@pytest.mark.parametrize("name", ["edges", "picture"])
def test_dense_values_are_scored_by_the_variance_explained_over_all_images(name: str) -> None:
    task, values = PROBES[name], torch.tensor([0.0, 1, 2, 3])
    assert task.score(task.sums(values, values)) == 100
    assert task.score(task.sums(torch.full((4,), 1.5), values)) == pytest.approx(0)
    assert task.score(task.sums(values + 0.5, values)) == pytest.approx(80)
    halves = [task.sums(values[part] + 0.5, values[part]) for part in (slice(2), slice(2, 4))]
    assert task.score(added(halves)) == pytest.approx(80)
    assert math.isnan(task.score(task.sums(values, torch.ones(4))))
