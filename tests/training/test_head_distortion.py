"""What the heads notice as a distortion: its unit, and that the detector stays as it was."""

import pytest
import torch

from fpnkit.config.schema import Loss
from fpnkit.detectors.base import Detector
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.distortions import DistortionInputs, HeadDistortion, build_distortion, frozen
from fpnkit.errors import UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.heads import head_distance
from fpnkit.pyramid import Pyramid
from tests.support.torchvision_detectors import detector, images

PIXELS = 9000.0


@pytest.fixture(scope="module")
def adapter() -> TorchvisionAdapter:
    torch.manual_seed(0)
    return detector()


@pytest.fixture(scope="module")
def original(adapter: TorchvisionAdapter) -> tuple[Pyramid, tuple[ImageGeometry, ...]]:
    batch = adapter.prepare(images((90, 120), (96, 110)))
    return adapter.pyramid(batch), batch.geometry


def decoded(pyramid: Pyramid) -> Pyramid:
    torch.manual_seed(1)
    return Pyramid({name: (level + 0.3 * torch.randn_like(level)).requires_grad_() for name, level in pyramid.items()})


def test_it_is_nats_a_pixel_of_each_image_or_of_their_mean(
    adapter: TorchvisionAdapter, original: tuple[Pyramid, tuple[ImageGeometry, ...]]
) -> None:
    pyramid, geometry = original
    noisy, distortion = decoded(pyramid), HeadDistortion(adapter)
    before = adapter.heads(pyramid, geometry)
    nats = head_distance(before, adapter.heads(noisy, geometry, before))
    each = distortion(DistortionInputs(pyramid, noisy, {}, per_image=True, geometry=geometry, pixels=PIXELS))
    mean = distortion(DistortionInputs(pyramid, noisy, {}, geometry=geometry, pixels=PIXELS))
    assert each.keys() == mean.keys() == {"classes", "boxes"}
    for name, expected in nats.items():
        torch.testing.assert_close(each[name], expected / PIXELS)
        torch.testing.assert_close(mean[name], expected.mean() / PIXELS)


def test_the_detector_gets_no_gradient_and_can_be_trained_as_before(
    adapter: TorchvisionAdapter, original: tuple[Pyramid, tuple[ImageGeometry, ...]]
) -> None:
    pyramid, geometry = original
    fixed = next(adapter.trainable.parameters()).requires_grad_(False)  # as the first layers are in fine-tuning
    before = {name: value.clone() for name, value in adapter.trainable.state_dict().items()}
    can_learn = {name: weight.requires_grad for name, weight in adapter.trainable.named_parameters()}
    assert any(can_learn.values())
    noisy = decoded(pyramid)

    terms = HeadDistortion(adapter)(DistortionInputs(pyramid, noisy, {}, geometry=geometry, pixels=PIXELS))
    torch.autograd.backward(list(terms.values()))

    assert all(level.grad is not None and level.grad.abs().sum() > 0 for level in noisy.values())
    assert all(weight.grad is None for weight in adapter.trainable.parameters())
    assert all(torch.equal(value, before[name]) for name, value in adapter.trainable.state_dict().items())
    assert {name: weight.requires_grad for name, weight in adapter.trainable.named_parameters()} == can_learn
    fixed.requires_grad_(True)


def test_weights_can_be_trained_again_after_an_error() -> None:
    module = torch.nn.Linear(1, 1)

    def interrupted() -> None:
        with frozen(module):
            assert not module.weight.requires_grad
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert module.weight.requires_grad


class Headless:
    """As much of a detector as is asked before its heads are."""

    name = "mean"


def test_a_detector_without_heads_is_refused(adapter: TorchvisionAdapter) -> None:
    settings = Loss.model_validate({"lambda": 1.0, "distortion": {"head": 1.0}})
    headless: Detector = Headless()  # type: ignore[assignment]
    with pytest.raises(UserError) as error:
        build_distortion(settings, adapter.spec, headless)
    assert str(error.value) == "detector mean: required the method `heads`, see DetectorWithHeads; found none"
    assert isinstance(build_distortion(settings, adapter.spec, adapter), HeadDistortion)
