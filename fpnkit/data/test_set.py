"""The images that codecs are measured on, with labels as the detector calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fpnkit.config.schema import CocoData, Data
from fpnkit.data.build import build_image_set
from fpnkit.data.images import ImageSet
from fpnkit.data.labels import Relabeled, match
from fpnkit.errors import ConfigError
from fpnkit.runs.results import Matching


@dataclass(frozen=True)
class TestSet:
    """Checked images."""

    __test__ = False  # pytest's name for classes of tests

    images: ImageSet
    matching: Matching
    strict: bool  # labels that can hardly be right are refused


def build_test_set(data: Data, classes: Mapping[int, str]) -> TestSet:
    """`classes`: the detector's, by id.

    Raises `ConfigError` without a test set, `DataError` for broken images and for labels that cannot be right.
    """
    if data.test is None:
        raise ConfigError(
            ["data.test: required the images to evaluate on, found none; --set data.test.kind=… adds them"]
        )
    images = build_image_set(data.test)
    images.check()
    strict = isinstance(data.test, CocoData) and data.test.annotations_check
    matching = match(images, classes, data.labels, strict=strict)
    return TestSet(Relabeled(images, matching, classes) if matching.changes else images, matching, strict)
