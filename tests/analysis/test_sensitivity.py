from collections.abc import Sequence

import pandas as pd
import pytest
import torch
import yaml

from fpnkit.analysis.statistics.sensitivity import level_sensitivity, suggested_weights, weights_yaml
from fpnkit.config.load import validate
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detections
from fpnkit.errors import DataError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.pyramid import Pyramid
from tests.support.pyramids import GEOMETRY, SPEC, noise


class Thresholds:
    """A detector that looks at p3 alone: an object wherever the mean of a quarter of it is above 0.

    Its loudness in other levels does not matter, so what noise does to it is known.
    """

    name, spec = "thresholds", SPEC

    def complete(self, pyramid: Pyramid) -> Pyramid:
        return pyramid

    def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        quarters = pyramid["p3"][0].mean(0).reshape(2, -1, 2, 16).mean((1, 3))
        places = (quarters > 0).nonzero()
        boxes = torch.cat([128.0 * places, 128.0 * places + 100], dim=1)[:, [1, 0, 3, 2]]
        return [Detections(boxes, torch.full((len(places),), 0.9), torch.ones(len(places)).long())]


def images() -> list[Features]:
    result = []
    for seed in range(6):
        signs = torch.randn(2, 2, generator=torch.Generator().manual_seed(seed)).sign()
        quarters = 0.02 * signs.repeat_interleave(16, 0).repeat_interleave(16, 1)
        result.append(Features(Pyramid({**noise(seed), "p3": quarters.expand(1, 6, 32, 32)}), GEOMETRY))
    return result


def truth() -> dict[str, list[GroundTruth]]:
    result = []
    for number, each in enumerate(images()):
        (found,) = Thresholds().detect(each.pyramid, [GEOMETRY])
        crowd = torch.zeros(len(found.boxes), dtype=torch.bool)
        result.append(GroundTruth(number, found.boxes, found.labels, crowd))
    return {"self_map": result}


def measure(level: str, seed: int = 0) -> pd.DataFrame:
    detector = Thresholds()
    return level_sensitivity(detector, images(), level, 1.0, truth(), (60.0, 0.0, -20.0), seed)  # type: ignore[arg-type]


def test_noise_on_the_level_that_matters_costs_and_more_noise_costs_more() -> None:
    table = measure("p3")
    assert table["snr_db"].tolist() == [60, 0, -20]
    first, second, third = table["self_map"]
    assert first == pytest.approx(1)
    assert third < second < 1


def test_noise_on_a_level_that_does_not_matter_costs_nothing() -> None:
    assert measure("p4")["self_map"].tolist() == pytest.approx([1, 1, 1])


def test_the_noise_has_the_snr_that_is_asked_for() -> None:
    class Listening(Thresholds):
        heard: list[Pyramid] = []  # noqa: RUF012

        def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
            self.heard.append(pyramid)
            return super().detect(pyramid, geometry)

    detector, deviation = Listening(), 3.0
    level_sensitivity(detector, images(), "p3", deviation, truth(), (10.0, 0.0))  # type: ignore[arg-type]
    for number, pyramid in enumerate(detector.heard):
        clean = images()[number // 2].pyramid
        assert torch.equal(pyramid["p4"], clean["p4"])
        mse = (pyramid["p3"] - clean["p3"]).square().mean().item()
        assert mse / deviation**2 == pytest.approx((0.1, 1.0)[number % 2], rel=0.1)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    assert measure("p3").equals(measure("p3"))
    assert not measure("p3").equals(measure("p3", seed=1))


def table(**slopes: float) -> pd.DataFrame:
    rows = [(level, snr, 0.9 - slope * 10 ** (-snr / 10)) for level, slope in slopes.items() for snr in (20, 10, 5, 0)]
    return pd.DataFrame(rows, columns=["level", "snr_db", "self_map"])


def test_weights_are_as_the_slopes_of_the_drop() -> None:
    weights = suggested_weights(table(p3=0.6, p4=0.3, p5=0.1), clean=0.9)
    assert weights["slope"].tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert weights["weight"].tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_a_level_that_noise_does_not_hurt_keeps_a_small_weight() -> None:
    weights = suggested_weights(table(p3=0.5, p4=-0.1), clean=0.9)
    assert weights["weight"].tolist() == pytest.approx([1 / 1.02, 0.02 / 1.02])


def test_the_text_for_a_config_is_one_and_its_weights_sum_to_one() -> None:
    text = weights_yaml(suggested_weights(table(p3=1, p4=1, p5=1), clean=0.9))
    weights = yaml.safe_load(text)["loss"]["weights"]
    assert sum(weights.values()) == pytest.approx(1, abs=1e-12)
    config = {
        "task": "fpn_compression",
        "detector": {"kind": "shapes_fcos"},
        "data": {"train": {"kind": "shapes", "images": 4}},
        "loss": {"lambda": 1e-3, **yaml.safe_load(text)["loss"]},
        "training": {"epochs": 1},
    }
    assert validate(config).loss.weights == weights  # type: ignore[union-attr]


def test_without_any_drop_there_are_no_weights() -> None:
    with pytest.raises(DataError) as error:
        suggested_weights(table(p3=0, p4=0), clean=0.9)
    assert str(error.value) == (
        "sensitivity: required a self_map that falls with noise on some level, found none that does"
    )
