"""Probes on the features of the built-in detector."""

from functools import cache

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from fpnkit.codecs.calibration import Standardizer, calibrate
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.images import Category
from fpnkit.data.shapes import ShapesSet
from fpnkit.data.windows import Features
from fpnkit.detectors.one_image import features_of
from fpnkit.detectors.shapes_fcos import build_shapes_fcos
from fpnkit.probes.head import Probe, targets_of, train_probes
from fpnkit.probes.tasks import PROBES, added
from fpnkit.pyramid import Pyramid

TRAIN, TEST = ShapesSet(16, 0), ShapesSet(4, 99)
SPEC = build_shapes_fcos(ShapesDetector(kind="shapes_fcos")).spec


@cache
def features(images: ShapesSet) -> list[Features]:
    detector = build_shapes_fcos(ShapesDetector(kind="shapes_fcos"))
    return [features_of(detector, images[index].image) for index in range(len(images))]


def trained(images: ShapesSet = TRAIN, seed: int = 0, steps: int = 5) -> dict[str, Probe]:
    found = features(TRAIN)
    standardiser = Standardizer(SPEC)
    standardiser.set(calibrate((each.pyramid, each.geometry) for each in found))
    return train_probes(found.__getitem__, range(len(TRAIN)), images, standardiser, SPEC, seed, steps)


@cache
def probes() -> dict[str, Probe]:
    return trained(steps=120)


def noisy(pyramid: Pyramid, deviations: float) -> Pyramid:
    generator = torch.Generator().manual_seed(0)
    return Pyramid(
        {
            name: level + deviations * level.std() * torch.randn(level.shape, generator=generator)
            for name, level in pyramid.items()
        }
    )


def score(name: str, deviations: float = 0.0) -> float:
    probe = probes()[name]
    targets = [targets_of(probe.task, TEST[index], each, SPEC) for index, each in enumerate(features(TEST))]
    pairs = zip(features(TEST), targets, strict=True)
    return probe.task.score(added(probe.sums(noisy(each.pyramid, deviations), target) for each, target in pairs))


def test_heads_see_objects_and_edges() -> None:
    """One answer for all places would have a fifth of the objects, and no edges at all."""
    assert score("objects") > 50
    assert score("edges") > 25


@pytest.mark.parametrize("name", ["objects", "edges"])  # how bright a place is, this detector ignores
def test_what_is_lost_in_features_is_missed(name: str) -> None:
    assert score(name) > score(name, 1.0) > score(name, 4.0)


def test_the_same_seed_trains_the_same_heads() -> None:
    def weights(found: dict[str, Probe]) -> torch.Tensor:
        return torch.cat([parameters_to_vector(each.head.parameters()) for each in found.values()])

    assert torch.equal(weights(trained()), weights(trained()))
    assert not torch.equal(weights(trained(seed=1)), weights(trained()))


def test_images_without_labels_are_only_redrawn() -> None:
    class Unlabeled(ShapesSet):
        categories: tuple[Category, ...] = ()

    assert list(trained(Unlabeled(16, 0))) == [name for name in PROBES if name != "objects"]
