from dataclasses import replace

import pytest
import torch

from fpnkit.anchors.packed import VvcFeatures
from fpnkit.anchors.reduced import ReducedFeatures, fit_reduction
from fpnkit.codecs.coder import CoderInput
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import DetectorWithHeads
from fpnkit.detectors.build import build_detector
from fpnkit.distortions import DistortionInputs, HeadDistortion
from fpnkit.pyramid import Pyramid
from tests.support.anchor_inputs import as_features, detector_fit, detector_source, needs_vvc


def test_what_is_turned_can_be_turned_back() -> None:
    for turn in detector_fit().turns.values():
        both = turn.synthesis @ turn.analysis
        assert torch.allclose(both, torch.eye(len(both)), atol=1e-3)


def test_components_are_independent_the_strongest_first_and_the_frame_has_room_for_them() -> None:
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    strongest = []
    for name in detector.spec.names:
        turn = detector_fit().turns[name]
        values = []
        for index in range(4):
            level = detector.pyramid(detector.prepare([ShapesSet(4, seed=7)[index].image]))[name]
            values.append(turn.analysis @ (level[0].flatten(1) - turn.mean[:, None]))
        covariance = torch.cov(torch.cat(values, 1))
        variances = covariance.diagonal()
        assert (variances.diff() <= 1e-2 * variances[0]).all()
        assert (covariance - variances.diag()).abs().max() < 1e-2 * variances[0]
        strongest.append(variances[0].sqrt().item())
    assert max(strongest) == pytest.approx(512 / 6, rel=0.01)


@needs_vvc
def test_at_fewer_bytes_than_without_it_the_heads_notice_less() -> None:
    spec, source = detector_source()
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    reduced, plain = ReducedFeatures(spec, 24, detector_fit()), VvcFeatures(spec, 38)
    sent = [coder.encode(source).data for coder in (reduced, plain)]
    noticed = [
        _noticed(detector, source, as_features(coder.decode(data)).pyramid)
        for coder, data in zip((reduced, plain), sent, strict=True)
    ]
    assert len(sent[0]) < len(sent[1])
    assert noticed[0] < noticed[1]


class Headless:
    """The built-in detector for those that know nothing of its heads."""

    def __init__(self) -> None:
        detector = build_detector(ShapesDetector(kind="shapes_fcos"))
        self.spec, self.prepare, self.pyramid = detector.spec, detector.prepare, detector.pyramid


@needs_vvc
def test_knowing_the_heads_saves_bytes() -> None:
    spec, source = detector_source()
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    unknowing = fit_reduction(Headless(), ShapesSet(4, seed=7))  # type: ignore[arg-type]
    coders = ReducedFeatures(spec, 22, detector_fit()), ReducedFeatures(spec, 30, unknowing)
    sent = [coder.encode(source).data for coder in coders]
    decoded = [as_features(coder.decode(data)).pyramid for coder, data in zip(coders, sent, strict=True)]
    assert len(sent[0]) < len(sent[1])
    assert _noticed(detector, source, decoded[0]) < _noticed(detector, source, decoded[1])


@needs_vvc
def test_values_that_the_frame_has_no_room_for_become_its_largest() -> None:
    spec, source = detector_source()
    large = Pyramid({name: 1000 * level for name, level in source.pyramid.items()})
    coder = ReducedFeatures(spec, 4, detector_fit())
    decoded = as_features(coder.decode(coder.encode(replace(source, pyramid=large)).data)).pyramid
    for name, level in decoded.items():
        turn = detector_fit().turns[name]
        before, after = (turn.analysis @ (each[0].flatten(1) - turn.mean[:, None]) for each in (large[name], level))
        wide = before.abs() > 2000
        assert wide.sum() > 100
        assert (before.sign() == after.sign())[wide].float().mean() > 0.95, "and none comes back on the other side"


def _noticed(detector: DetectorWithHeads, source: CoderInput, decoded: Pyramid) -> float:
    distortion = HeadDistortion(detector)
    inputs = DistortionInputs(source.pyramid, decoded, {}, geometry=[source.geometry], pixels=1)
    with torch.no_grad():
        return sum(value.item() for value in distortion(inputs).values())


def test_other_training_images_are_another_reduction() -> None:
    detector = build_detector(ShapesDetector(kind="shapes_fcos"))
    names = [fit_reduction(detector, ShapesSet(2, seed=seed)).name for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("KLT of 2 images of shapes_2_seed_1 ")
