"""Search on the sender's side, through real streams."""

import pytest
import torch

from fpnkit.codecs.build import build_codec
from fpnkit.codecs.coder import CodedImage, CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec
from fpnkit.codecs.sender import SenderSearch
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.one_image import features_of
from fpnkit.errors import UserError
from fpnkit.metrics.distortion import standardized_mse
from tests.support import tiny
from tests.support.curve_run import trained_run

STEPS = 12


@pytest.fixture(scope="module")
def model() -> TrainedCodec:
    return load_codec(trained_run() / "best_model.pth")


@pytest.fixture(scope="module")
def detector(model: TrainedCodec) -> Detector:
    return build_detector(model.config.detector)


@pytest.fixture(scope="module")
def source(detector: Detector) -> CoderInput:
    image = ShapesSet(1, 7)[0].image
    features = features_of(detector, image)
    return CoderInput(image, features.pyramid, features.geometry)


def cost_of(coded: CodedImage, model: TrainedCodec, source: CoderInput, quality: float) -> float:
    """Bits plus lambda times distortion, by hand."""
    decoded = LearnedCoder(model).decode(coded.data).pyramid
    mse = standardized_mse(source.pyramid, decoded, model.codec.standardiser.deviation)
    pixels = source.image.shape[1] * source.image.shape[2]
    distortion = 65025 * sum(float(each) for each in mse.values()) / len(mse)
    return sum(coded.bits_level.values()) + model.config.lmbda_at(quality) * distortion * pixels


def test_what_is_found_costs_less_and_is_decoded_by_a_codec_that_knows_nothing_of_it(
    model: TrainedCodec, detector: Detector, source: CoderInput
) -> None:
    plain = LearnedCoder(model, 0.0).encode(source)
    coder = LearnedCoder(model, 0.0, SenderSearch(model, detector, STEPS))
    with torch.no_grad():  # as evaluation calls it
        found = coder.encode(source)
    assert coder.name == "fused+search12"
    assert cost_of(found, model, source, 0.0) < cost_of(plain, model, source, 0.0)
    assert coder.encode(source).data == found.data


def test_what_is_worse_than_the_start_is_not_sent(
    model: TrainedCodec, detector: Detector, source: CoderInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    def astray(codec, pyramid, geometry, quality, cost, steps):
        return {name: 3 * each + 7 for name, each in codec.latents(pyramid, geometry, quality).items()}

    monkeypatch.setattr("fpnkit.codecs.sender.searched", astray)
    found = LearnedCoder(model, 1.0, SenderSearch(model, detector, STEPS)).encode(source)
    assert found.data == LearnedCoder(model, 1.0).encode(source).data


def test_a_codec_whose_latents_cannot_be_moved_is_refused(detector: Detector) -> None:
    settings = tiny.config()
    other = TrainedCodec(build_codec(settings.codec, tiny.SPEC), settings, "f" * 64, 1, "0" * 8)
    with pytest.raises(UserError) as caught:
        SenderSearch(other, detector, STEPS)
    assert str(caught.value) == "search: required a codec whose latents can be moved, found factorized"


def test_a_detector_without_the_heads_of_the_loss_is_refused(model: TrainedCodec) -> None:
    class Headless:
        name = "headless"

    loss = model.config.loss.model_copy(update={"distortion": {"sensitivity": 1.0}})
    other = TrainedCodec(model.codec, model.config.model_copy(update={"loss": loss}), "f" * 64, 1, model.hash)
    with pytest.raises(UserError) as caught:
        SenderSearch(other, Headless(), STEPS)  # type: ignore[arg-type]
    assert str(caught.value) == ("detector headless: required the method `heads`, see DetectorWithHeads; found none")
