"""The distance between outputs of heads, by hand."""

import math

import pytest
import torch
from torch import Tensor

from fpnkit.detectors.base import HeadOutput
from fpnkit.metrics.heads import head_distance


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def scores(*values: float, threshold: float = 0.0) -> HeadOutput:
    """One image, one place a value, one class."""
    return HeadOutput(torch.tensor([[[logit(value)] for value in values]]), threshold)


def classes(before: HeadOutput, after: HeadOutput) -> float:
    return head_distance({"head": before}, {"head": after})["classes"].item()


def bernoulli(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def categorical(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_independent_scores_cost_the_divergence_of_each_in_nats() -> None:
    found = classes(scores(0.7, 0.2), scores(0.4, 0.6))
    assert found == pytest.approx(bernoulli(0.7, 0.4) + bernoulli(0.2, 0.6), rel=1e-4)


def test_what_counts_is_the_divergence_from_the_original() -> None:
    assert bernoulli(0.9, 0.5) != pytest.approx(bernoulli(0.5, 0.9), rel=0.1)
    assert classes(scores(0.9), scores(0.5)) == pytest.approx(bernoulli(0.9, 0.5), rel=1e-4)


def test_exclusive_classes_cost_the_divergence_of_their_distribution() -> None:
    before, after = [0.5, 0.3, 0.2], [0.1, 0.3, 0.6]
    outputs = [HeadOutput(torch.tensor([[each]]).log() + 7, exclusive=True) for each in (before, after)]
    assert classes(*outputs) == pytest.approx(categorical(before, after), rel=1e-5)


def test_scores_far_below_the_threshold_are_all_the_same() -> None:
    assert classes(scores(0.001), scores(0.01)) > 0.005
    assert abs(classes(scores(0.001, threshold=0.5), scores(0.01, threshold=0.5))) < 1e-6
    assert classes(scores(0.01, threshold=0.5), scores(0.25, threshold=0.5)) > 0.005  # this one nearly matters


def test_scores_are_pressed_to_six_tenths_of_the_threshold() -> None:
    low = logit(0.3)

    def pressed(score: float) -> float:
        return 1 / (1 + math.exp(-(low + math.log1p(math.exp(2 * (logit(score) - low))) / 2)))

    found = classes(scores(0.2, threshold=0.5), scores(0.6, threshold=0.5))
    assert found == pytest.approx(bernoulli(pressed(0.2), pressed(0.6)), rel=1e-5)
    assert pressed(1e-6) == pytest.approx(0.3)
    assert pressed(0.98) == pytest.approx(0.98, rel=1e-3)


def test_a_score_that_crosses_the_threshold_costs_and_is_pulled_back() -> None:
    after = torch.tensor([[[logit(0.1)]]], requires_grad=True)
    found = head_distance({"head": scores(0.8, threshold=0.5)}, {"head": HeadOutput(after, 0.5)})["classes"]
    assert found.item() > 0.4
    (gradient,) = torch.autograd.grad(found.sum(), after)
    assert gradient.item() < -1e-2


def boxes(before: Tensor, after: Tensor, **settings: object) -> float:
    outputs = [
        HeadOutput(torch.tensor([[[logit(0.5), logit(0.25)]]]), offsets=each[None, None], **settings)  # type: ignore[arg-type]
        for each in (before, after)
    ]
    return head_distance({"head": outputs[0]}, {"head": outputs[1]})["boxes"].item()


def test_a_box_costs_half_its_squared_move_in_tenths_of_its_size_times_the_best_score() -> None:
    zero, unit = torch.zeros(4), torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert boxes(zero, 0.01 * unit) == pytest.approx(0.5 * 0.01**2 / 2, rel=1e-3)
    assert boxes(zero, unit) == pytest.approx(0.5 * math.log(1.5))
    assert boxes(zero, torch.ones(4)) == pytest.approx(4 * 0.5 * math.log(1.5))


def test_a_box_far_away_costs_only_the_logarithm_of_its_move() -> None:
    far = torch.tensor([1000.0, 0.0, 0.0, 0.0])
    assert boxes(torch.zeros(4), far) == pytest.approx(0.5 * math.log(1 + 1000**2 / 2))


def test_offsets_have_a_unit_of_their_own() -> None:
    move = torch.tensor([0.3, 0.0, 0.0, 4.0])
    expected = boxes(torch.zeros(4), torch.tensor([3.0, 0.0, 0.0, 2.0]))
    assert boxes(torch.zeros(4), move, tenth=torch.tensor([0.1, 1.0, 1.0, 2.0])) == pytest.approx(expected)


def test_the_unit_is_the_originals() -> None:
    outputs = [
        HeadOutput(torch.zeros(1, 1, 1), offsets=torch.full((1, 1, 1), at), tenth=tenth)
        for at, tenth in ((0.0, 2.0), (2.0, 50.0))
    ]
    found = head_distance({"head": outputs[0]}, {"head": outputs[1]})["boxes"].item()
    assert found == pytest.approx(0.5 * math.log(1.5))


def test_a_box_of_exclusive_classes_counts_by_its_best_class_but_the_background() -> None:
    logits = torch.tensor([[[0.7, 0.1, 0.2]]]).log()
    before = HeadOutput(logits, exclusive=True, offsets=torch.zeros(1, 1, 1))
    after = HeadOutput(logits, exclusive=True, offsets=torch.ones(1, 1, 1))
    found = head_distance({"head": before}, {"head": after})["boxes"].item()
    assert found == pytest.approx(0.2 * math.log(1.5), rel=1e-5)


def test_bins_cost_the_divergence_of_the_distribution_of_each_side() -> None:
    before, after = [[0.5, 0.5], [0.9, 0.1]], [[0.25, 0.75], [0.9, 0.1]]
    outputs = [HeadOutput(torch.zeros(1, 1, 1), bins=torch.tensor([[each]]).log()) for each in (before, after)]
    found = head_distance({"head": outputs[0]}, {"head": outputs[1]})["boxes"].item()
    assert found == pytest.approx(0.5 * categorical(before[0], after[0]), rel=1e-5)


def test_places_of_no_weight_cost_nothing() -> None:
    torch.manual_seed(0)
    weight = torch.tensor([[1.0, 0.0]])

    def output() -> HeadOutput:
        return HeadOutput(torch.randn(1, 2, 3), exclusive=True, offsets=torch.randn(1, 2, 4), weight=weight)

    def first(whole: HeadOutput) -> HeadOutput:
        assert whole.logits is not None
        assert whole.offsets is not None
        return HeadOutput(whole.logits[:, :1], exclusive=True, offsets=whole.offsets[:, :1])

    before, after = output(), output()
    found = head_distance({"head": before}, {"head": after})
    expected = head_distance({"head": first(before)}, {"head": first(after)})
    assert found.keys() == {"classes", "boxes"}
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_masks_cost_the_mean_over_pixels_and_heat_maps_the_divergence_of_the_peak() -> None:
    before, after, weight = [0.5, 0.3, 0.2], [0.1, 0.3, 0.6], torch.tensor([[0.5]])
    masks = [
        HeadOutput(weight=weight, maps=torch.tensor([[[logit(value) for value in each]]])) for each in (before, after)
    ]
    expected = 0.5 * sum(map(bernoulli, before, after)) / 3
    found = head_distance({"head": masks[0]}, {"head": masks[1]})
    assert found.keys() == {"maps"}
    assert found["maps"].item() == pytest.approx(expected, rel=1e-5)
    peaks = [HeadOutput(weight=weight, maps=torch.tensor([[each]]).log() - 3, peaks=True) for each in (before, after)]
    found = head_distance({"head": peaks[0]}, {"head": peaks[1]})
    assert found["maps"].item() == pytest.approx(0.5 * categorical(before, after), rel=1e-5)


def test_heads_add_up_and_images_stay_apart() -> None:
    first = HeadOutput(torch.tensor([[[logit(0.5)]], [[logit(0.5)]]]))
    second = HeadOutput(torch.tensor([[[logit(0.8)]], [[logit(0.5)]]]))
    found = head_distance({"a": first, "b": first}, {"a": second, "b": second})["classes"]
    assert found[0].item() == pytest.approx(2 * bernoulli(0.5, 0.8), rel=1e-4)
    assert found[1].item() == 0


def test_extreme_logits_stay_finite() -> None:
    before, after = torch.tensor([[[200.0, -200.0]]]), torch.tensor([[[-200.0, 200.0]]], requires_grad=True)
    for exclusive in (False, True):
        outputs = [HeadOutput(each, exclusive=exclusive) for each in (before, after)]
        cost = head_distance({"head": outputs[0]}, {"head": outputs[1]})["classes"].sum()
        assert cost.isfinite()
        assert torch.autograd.grad(cost, after)[0].isfinite().all()
