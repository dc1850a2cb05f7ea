import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fpnkit.codecs.calibration import Calibration, LevelStatistics, Standardizer
from fpnkit.config.schema import Loss
from fpnkit.detectors.base import HeadOutput, HeadOutputs
from fpnkit.distortions import DistortionInputs, Mixture, SensitivityDistortion, build_distortion, parts_of
from fpnkit.errors import UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import standardized_mse
from fpnkit.pyramid import Pyramid
from fpnkit.training.curvature import measure_curvature, measure_sensitivity
from fpnkit.training.losses import Objective
from tests.support import tiny

PIXELS = 64.0 * 72
WEIGHTS = {"p2": torch.tensor([1.0, 2.0, 0.0, 4.0]), "p3": torch.tensor([0.5, 0.0, 8.0, 1.0])}
DEVIATION = torch.tensor([2.0, 0.5])


class Quadratic:
    """Half of e' H e a pixel, e being the standardized error of a place and H known."""

    def __init__(self, hessians: Mapping[str, Tensor]) -> None:
        self._hessians = hessians

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        total = torch.zeros(())
        for deviation, (name, hessian) in zip(DEVIATION, self._hessians.items(), strict=True):
            error = (pair.decoded[name] - pair.original[name]) / deviation
            total = total + torch.einsum("bchw,cd,bdhw->", error, hessian, error) / 2
        return {"quadratic": total / pair.pixels}


def standardizer() -> Standardizer:
    result = Standardizer(tiny.SPEC)
    levels = zip(tiny.SPEC.names, DEVIATION.tolist(), strict=True)
    result.set(Calibration({name: LevelStatistics(0.5, each, torch.ones(1), 1.0) for name, each in levels}, 1))
    return result


def inputs(original: Pyramid, decoded: Pyramid, *, per_image: bool = False) -> DistortionInputs:
    mse = standardized_mse(original, decoded, DEVIATION, per_image=per_image)
    return DistortionInputs(original, decoded, mse, per_image, pixels=PIXELS)


def distortion() -> SensitivityDistortion:
    result = SensitivityDistortion(tiny.SPEC)
    result.set(WEIGHTS, DEVIATION)
    return result


def nats(original: Pyramid, decoded: Pyramid) -> float:
    return distortion()(inputs(original, decoded))["sensitivity"].item()


def features(count: int) -> list[tuple[Pyramid, ImageGeometry]]:
    each = [tiny.features(seed) for seed in range(count)]
    return [(one.pyramid, one.geometry) for one in each]


def test_the_curvature_of_a_quadratic_distortion_is_its_second_derivative() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = [torch.randn(4, 4, generator=generator) for _ in range(2)]
    hessians = {name: root @ root.T for name, root in zip(tiny.SPEC.names, roots, strict=True)}
    found = measure_curvature(Quadratic(hessians), features(30), standardizer())
    for name, hessian in hessians.items():
        torch.testing.assert_close(found[name], hessian, rtol=0.05, atol=0.05 * hessian.diagonal().max().item())


def test_sensitivity_is_the_diagonal_of_the_heads_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    hessians = {name: weights.diag() for name, weights in WEIGHTS.items()}
    monkeypatch.setattr("fpnkit.training.curvature.HeadDistortion", lambda detector: Quadratic(hessians))
    found = measure_sensitivity(None, features(30), standardizer())  # type: ignore[arg-type]
    for name, weights in WEIGHTS.items():
        torch.testing.assert_close(found[name], weights, rtol=0.05, atol=1e-4)


def test_half_of_curvature_times_squared_error_a_pixel() -> None:
    original = tiny.features(0).pyramid
    decoded = Pyramid({name: level.clone() for name, level in original.items()})
    decoded["p3"][:, 2] += 3 * DEVIATION[1]
    places = original["p3"][0, 0].numel()
    assert nats(original, decoded) == pytest.approx(0.5 * 8.0 * 9 * places / PIXELS, rel=1e-5)
    decoded["p3"][:, 1] += 100  # that the heads do not look at
    assert nats(original, decoded) == pytest.approx(0.5 * 8.0 * 9 * places / PIXELS, rel=1e-5)


@pytest.mark.parametrize("name", tiny.SPEC.names)
def test_it_is_0_for_equal_pyramids_and_grows_with_noise_on_each_level(name: str) -> None:
    original = tiny.features(0).pyramid
    noise = torch.randn(original[name].shape, generator=torch.Generator().manual_seed(0))
    found = [
        nats(original, Pyramid({**original, name: original[name] + amount * noise})) for amount in (0.0, 0.1, 0.2, 0.4)
    ]
    assert found[0] == 0
    assert found[2] == pytest.approx(4 * found[1], rel=1e-3)
    assert found[3] == pytest.approx(16 * found[1], rel=1e-3)


def test_each_image_may_be_told_apart() -> None:
    first, third = tiny.features(0).pyramid, tiny.features(3).pyramid
    both = Pyramid({name: torch.cat([first[name], third[name]]) for name in first})
    zeros = Pyramid({name: torch.zeros_like(level) for name, level in both.items()})
    each = distortion()(inputs(both, zeros, per_image=True))["sensitivity"]
    alone = [
        nats(one, Pyramid({name: torch.zeros_like(level) for name, level in one.items()})) for one in (first, third)
    ]
    assert each.tolist() == pytest.approx(alone, rel=1e-5)
    assert distortion()(inputs(both, zeros))["sensitivity"].item() == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_its_state_is_all_of_it() -> None:
    other = SensitivityDistortion(tiny.SPEC)
    other.load_state_dict(distortion().state_dict())
    original = tiny.features(0).pyramid
    decoded = Pyramid({name: level + 1 for name, level in original.items()})
    assert other(inputs(original, decoded))["sensitivity"].item() == nats(original, decoded) > 0


class Toy:
    """Scores are the channels of p2; p3 only moves boxes, and its last channel nothing."""

    name, trainable = "toy", None

    def heads(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], fixed: HeadOutputs | None = None
    ) -> HeadOutputs:
        logits = pyramid["p2"].flatten(2).transpose(1, 2)
        offsets = F.interpolate(pyramid["p3"], pyramid["p2"].shape[2:])[:, :3].flatten(2).transpose(1, 2)
        return {"all": HeadOutput(logits, 0.05, offsets=offsets)}


def test_a_resumed_run_goes_on_with_what_was_measured_at_its_start(tmp_path: Path) -> None:
    first, resumed = (tiny.learner(tiny.config(), tmp_path) for _ in range(2))
    for learner in (first, resumed):
        learner.objective = Objective(1.0, Mixture([(2.0, SensitivityDistortion(tiny.SPEC))]))
    with contextlib.closing(first), contextlib.closing(resumed):
        measured, loaded = (
            next(part for part in parts_of(each.objective.distortion) if isinstance(part, SensitivityDistortion))
            for each in (first, resumed)
        )
        measured.set(WEIGHTS, DEVIATION)
        resumed.load_state_dict(first.state_dict())
    assert all(torch.equal(loaded.curvature[name], WEIGHTS[name]) for name in WEIGHTS)
    assert torch.equal(loaded.state_dict()["deviation"], DEVIATION)


def test_what_the_heads_do_not_notice_weighs_nothing() -> None:
    found = measure_sensitivity(Toy(), features(8), standardizer())
    assert {name: len(each) for name, each in found.items()} == {"p2": 4, "p3": 4}
    assert (found["p2"] > 0).all()
    assert (found["p3"][:3] > 1000 * found["p3"][3].abs()).all()


def test_a_detector_without_heads_is_refused() -> None:
    class Headless:
        name = "headless"
        spec = tiny.SPEC

    loss = Loss.model_validate({"lambda": 1.0, "distortion": {"sensitivity": 1.0}})
    with pytest.raises(UserError) as error:
        build_distortion(loss, tiny.SPEC, Headless())  # type: ignore[arg-type]
    assert str(error.value) == "detector headless: required the method `heads`, see DetectorWithHeads; found none"
