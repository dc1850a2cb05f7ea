from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fpnkit.codecs.base import Codec, CodecOutput
from fpnkit.codecs.build import build_codec
from fpnkit.distortions import DistortionInputs, MseDistortion
from fpnkit.pyramid import Pyramid
from fpnkit.training.codec_learner import objective
from fpnkit.training.losses import Batch, Objective, loss_terms
from fpnkit.training.step import to_tally, values
from fpnkit.training.tally import Tally
from tests.support import tiny


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    return build_codec(tiny.config().codec, tiny.SPEC).eval()


def batch(*seeds: int) -> Batch:
    features = [tiny.features(seed) for seed in seeds]
    levels = {name: torch.cat([each.pyramid[name] for each in features]) for name in tiny.SPEC.names}
    return Batch(Pyramid(levels), sum(each.original_pixels for each in features))


def through(codec: Codec, images: Batch) -> CodecOutput:
    with torch.no_grad():
        output: CodecOutput = codec(images.pyramid)
    return output


def test_each_image_may_have_its_own_lambda(codec: Codec) -> None:
    goal, lambdas = objective(tiny.config(), codec), [0.01, 1.0]
    alone = [loss_terms(codec, through(codec, batch(seed)), batch(seed), goal) for seed in (0, 3)]
    both = replace(batch(0, 3), lmbda=torch.tensor(lambdas))
    found = loss_terms(codec, through(codec, both), both, goal)
    expected = [
        lmbda * each.terms["distortion"] + each.terms["rate"] for lmbda, each in zip(lambdas, alone, strict=True)
    ]
    assert found.loss.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)
    for name in tiny.SPEC.names:
        assert found.bits[name].item() == pytest.approx(sum(each.bits[name].item() for each in alone), rel=1e-5)
        assert found.mse[name].item() == pytest.approx(sum(each.mse[name].item() for each in alone) / 2, rel=1e-5)


def test_equal_lambdas_of_all_images_are_the_objectives(codec: Codec) -> None:
    goal, both = objective(tiny.config(), codec), batch(0, 3)
    output = through(codec, both)
    expected = loss_terms(codec, output, both, goal)
    found = loss_terms(codec, output, replace(both, lmbda=torch.tensor([goal.lmbda] * 2)), goal)
    assert found.loss.item() == pytest.approx(expected.loss.item(), rel=1e-6)
    assert found.terms["rate"].item() == pytest.approx(expected.terms["rate"].item(), rel=1e-6)


class WithAbsolute:
    """A distortion of two terms, one of which needs the levels themselves."""

    def __call__(self, pair: DistortionInputs) -> Mapping[str, Tensor]:
        absolute = torch.stack([(pair.decoded[name] - level).abs().mean() for name, level in pair.original.items()])
        return {**MseDistortion(2.0, {"p2": 1.0, "p3": 0.0})(pair), "absolute": absolute.sum()}


def test_another_distortion_is_a_callable_whose_terms_are_told_apart(codec: Codec) -> None:
    images = batch(0)
    terms = loss_terms(codec, through(codec, images), images, Objective(0.5, WithAbsolute()))
    assert set(terms.terms) == {"distortion", "rate", "mse", "absolute"}
    parts = {name: term.item() for name, term in terms.terms.items()}
    assert parts["mse"] == pytest.approx(2 * terms.mse["p2"].item())
    assert parts["distortion"] == pytest.approx(parts["mse"] + parts["absolute"])
    assert terms.loss.item() == pytest.approx(0.5 * parts["distortion"] + parts["rate"])
    tally = to_tally(terms, images.pixels, torch.tensor(3.0), torch.tensor(4.0))
    assert tally.terms == {"mse": pytest.approx(parts["mse"]), "absolute": pytest.approx(parts["absolute"])}
    told = values(tally + tally, Objective(0.5, WithAbsolute()))
    assert told.terms == {"mse": pytest.approx(parts["mse"]), "absolute": pytest.approx(parts["absolute"])}
    assert (told.aux_loss, told.bpp_estimated) == (3.0, pytest.approx(parts["rate"]))


def test_the_one_term_of_mse_is_not_told_twice(codec: Codec) -> None:
    images = batch(0)
    terms = loss_terms(codec, through(codec, images), images, objective(tiny.config(), codec))
    assert set(terms.terms) == {"distortion", "rate"}
    tally = to_tally(terms, images.pixels, torch.tensor(0.0), torch.tensor(0.0))
    assert values(tally, objective(tiny.config(), codec)).terms is None


def test_a_tally_of_an_older_checkpoint_is_read() -> None:
    plain = Tally(count=2, loss=1.0, bits={"p2": 3.0}).plain()
    del plain["terms"]
    assert Tally(**plain) == Tally(count=2, loss=1.0, bits={"p2": 3.0})
