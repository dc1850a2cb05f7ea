import math

import pytest
import torch
from torch import nn

from fpnkit.codecs.base import ParameterGroup
from fpnkit.codecs.build import build_codec
from fpnkit.config.schema import CodecTraining, FactorizedCodec
from fpnkit.pyramid import LevelSpec, PyramidSpec
from fpnkit.training.optim import CodecOptimizers, Schedule
from tests.support.shared_codec import SharedCodec


def test_every_parameter_is_in_exactly_one_optimizer_and_quantiles_alone_in_theirs() -> None:
    codec = build_codec(FactorizedCodec(channels=4, latent_channels=4), PyramidSpec((LevelSpec("p2", 3, 4),)))
    optimizers = CodecOptimizers.of(codec, CodecTraining(epochs=1))
    assert optimizers.quantiles is not None
    groups = [optimizers.network.param_groups[0]["params"], optimizers.quantiles.param_groups[0]["params"]]
    ids = [id(parameter) for group in groups for parameter in group]
    assert sorted(ids) == sorted(id(parameter) for parameter in codec.parameters())
    assert [tuple(parameter.shape) for parameter in groups[1]] == [(4, 1, 3)]


class TwoSpeeds(SharedCodec):
    """A codec without quantiles; its gains learn ten times as fast as its network."""

    def __init__(self) -> None:
        super().__init__(PyramidSpec((LevelSpec("p2", 3, 4),)))
        self.gains, self.network = nn.Parameter(torch.ones(2)), nn.Linear(2, 2)

    def parameter_groups(self) -> tuple[ParameterGroup, ...]:
        return (
            ParameterGroup("network", tuple(self.network.parameters())),
            ParameterGroup("gains", (self.gains,), lr_factor=10.0),
        )


def test_parts_of_a_codec_learn_at_rates_of_their_own_that_survive_a_resume() -> None:
    optimizers = CodecOptimizers.of(TwoSpeeds(), CodecTraining(epochs=1, lr=1e-3))
    assert optimizers.quantiles is None
    assert [group["lr"] for group in optimizers.network.param_groups] == [1e-3, 1e-2]
    assert len(optimizers.network_parameters) == 3
    resumed = CodecOptimizers.of(TwoSpeeds(), CodecTraining(epochs=1, lr=5.0))
    resumed.load_state_dict(optimizers.state_dict())
    resumed.set_lr(1e-4)
    assert [group["lr"] for group in resumed.network.param_groups] == pytest.approx([1e-4, 1e-3])


def test_constant_never_changes_and_cosine_falls_to_a_hundredth() -> None:
    constant = Schedule("constant", 1.0, 100)
    assert {constant.lr_at(step) for step in range(100)} == {1.0}
    cosine = [Schedule("cosine", 1.0, 100).lr_at(step) for step in range(101)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] == 1.0
    assert cosine[100] == pytest.approx(0.01)


def test_warm_up_rises_to_the_full_rate() -> None:
    schedule = Schedule("constant", 1.0, 100, warmup_steps=9)
    rates = [schedule.lr_at(step) for step in range(11)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])


def test_a_plateau_halves_the_rate_and_an_improvement_starts_the_count_again() -> None:
    schedule = Schedule("plateau", 1.0, 100, plateau_epochs=2)
    rates = []
    for loss in (5.0, 5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0):
        schedule.epoch_ended(loss)
        rates.append(schedule.lr_at(0))
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_schedule_goes_on_from_its_state() -> None:
    one, other = Schedule("plateau", 1.0, 100, plateau_epochs=2), Schedule("plateau", 1.0, 100, plateau_epochs=2)
    for loss in (5.0, math.nan, 6.0, 6.0):
        one.epoch_ended(loss)
    other.load_state_dict(one.state_dict())
    one.epoch_ended(6.0)
    other.epoch_ended(6.0)
    assert one == other
    assert one.lr_at(3) == 0.25
