from pathlib import Path

import pytest
import torch

from fpnkit.config.schema import Cache
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.cached import PLAIN, FeatureView, feature_cache
from tests.support.coders import config


@pytest.fixture(scope="module")
def detector() -> Detector:
    return build_detector(config().detector)


def test_views_of_an_image_are_kept_beside_it_and_leave_what_was_kept_of_it_valid(
    detector: Detector, tmp_path: Path
) -> None:
    settings, images = Cache(directory=str(tmp_path)), ShapesSet(2, 0)
    feature_cache(settings, detector, images).fill()
    plain = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    both = feature_cache(settings, detector, images, views=(PLAIN, FeatureView("flip", lambda image: image.flip(2))))
    assert len(both) == 4
    both.fill()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    assert all(path.read_bytes() == content for path, content in plain.items())
    with torch.no_grad():
        expected = detector.pyramid(detector.prepare([images[1].image.flip(2)]))
    for name, level in both.load(3).pyramid.items():
        assert torch.equal(level, expected[name].half().float())
        assert not torch.equal(level, both.load(1).pyramid[name])
