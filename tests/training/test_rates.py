"""One codec for many rates: its qualities, the balance between them, and what validation reports."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch

from fpnkit.config.load import plain, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.distortions import MseDistortion
from fpnkit.training.losses import Objective
from fpnkit.training.rates import Balance, at_quality, validated_qualities, with_quality
from fpnkit.training.step import over_qualities
from fpnkit.training.tally import Tally
from tests.support import fused, tiny
from tests.training.test_losses import batch

GOAL = Objective(400.0, MseDistortion(1.0, {"p2": 1.0}), lowest_lmbda=1.0, highest_quality=2.0)


def curve() -> CodecConfig:
    """Small, of three rates."""
    settings = plain(tiny.config())
    codec = {"latent_channels": 6, "components": 8, "channels": 8, "context_channels": 8, "rates": 3}
    settings["codec"] = {"kind": "fused", **codec}
    settings["loss"] = {**settings["loss"], "lowest_lambda": 1e-4}
    result = validate(settings)
    assert isinstance(result, CodecConfig)
    return result


def test_each_image_draws_a_quality_that_a_stream_can_carry_and_its_lambda() -> None:
    codec, images = fused.codec(), batch(*range(0, 120, 3))
    drawn = with_quality(images, GOAL, codec, [0, 1, 2])
    assert drawn.quality is not None
    assert drawn.lmbda is not None
    assert drawn.quality.min() < 0.3
    assert drawn.quality.max() > 1.7
    assert torch.allclose(1000 * drawn.quality, (1000 * drawn.quality).round(), atol=1e-3)
    assert torch.allclose(drawn.lmbda, 400 ** (drawn.quality / 2), rtol=1e-4)
    again, other = (with_quality(images, GOAL, codec, key).quality for key in ([0, 1, 2], [0, 1, 3]))
    assert again is not None
    assert torch.equal(again, drawn.quality)
    assert other is not None
    assert not torch.equal(other, drawn.quality)
    assert with_quality(images, GOAL, fused.codec(rates=1), [0]) is images


def test_lambda_goes_from_the_lowest_to_the_highest_by_equal_factors() -> None:
    found = at_quality(batch(0, 3, 6), GOAL, torch.tensor([0.0, 1.0, 2.0])).lmbda
    assert found is not None
    assert found.tolist() == pytest.approx([1, 20, 400])


def test_a_rate_of_large_losses_counts_no_more_than_others() -> None:
    codec = fused.codec()
    quality = torch.tensor([0.0, 2.0])
    for scale in (1.0, 1e4):
        balance = Balance.of(codec)
        assert balance is not None
        first = balance.balanced(torch.tensor([3.0, 5.0 * scale]), quality)
        second = balance.balanced(torch.tensor([6.0, 5.0 * scale]), quality)
        assert first.item() == pytest.approx(1)
        assert second.item() == pytest.approx((6 / (0.98 * 3 + 0.02 * 6) + 1) / 2)
        assert balance.means.tolist() == pytest.approx([3.06, 0, 5 * scale])
    assert Balance.of(fused.codec(rates=1)) is None


def test_validation_reports_the_geometric_mean_over_qualities() -> None:
    def tally(error: float, bits: float) -> Tally:
        return Tally(1, 0.0, error, pixels=100.0, bits={"shared": bits}, mse={"p2": error})

    qualities = validated_qualities(fused.codec())
    assert qualities == [0.0, 0.667, 1.333, 2.0]
    tallies = {0.0: tally(0.5, 50.0), 2.0: tally(0.01, 800.0)}
    found = over_qualities(tallies, GOAL)
    assert found.loss == pytest.approx(math.sqrt((1 * 0.5 + 0.5) * (400 * 0.01 + 8)))
    assert found.bpp_estimated == pytest.approx(850 / 200)
    assert math.isnan(over_qualities({0.0: tally(math.nan, 50.0), 2.0: tally(0.01, 800.0)}, GOAL).loss)


def test_resumed_in_the_middle_of_an_epoch_it_is_the_uninterrupted_training(tmp_path: Path) -> None:
    """The balance between the rates included."""
    through, first, resumed = (tiny.learner(curve(), tmp_path) for _ in range(3))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for index in range(4):
            through.step(1, index, 1e-3)
        torch.manual_seed(5)
        for index in range(2):
            first.step(1, index, 1e-3)
        state = copy.deepcopy(first.state_dict())
        resumed.load_state_dict(state)
        for index in range(2, 4):
            resumed.step(1, index, 1e-3)
    for learner in (through, first, resumed):
        learner.close()
    expected, found = through.state_dict(), resumed.state_dict()
    assert torch.equal(found["balance"], expected["balance"])
    assert all(torch.equal(value, expected["codec"][name]) for name, value in found["codec"].items())
    assert not torch.equal(expected["balance"], state["balance"])
