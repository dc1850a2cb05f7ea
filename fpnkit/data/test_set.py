"""Images that codecs are measured on and looked at with, with labels as the detector calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fpnkit.config.schema import CocoData, Data
from fpnkit.data.build import build_image_set
from fpnkit.data.coco import CocoSet
from fpnkit.data.images import ImageSet
from fpnkit.data.labels import Relabeled, match
from fpnkit.runs.results import Matching, Part


@dataclass(frozen=True)
class TestSet:
    """Checked images."""

    __test__ = False  # pytest's name for classes of tests

    images: ImageSet
    matching: Matching
    strict: bool  # labels that can hardly be right are refused
    parts: tuple[Part, ...] = ()  # labeled besides boxes, of those that were asked for


def build_test_set(data: Data, classes: Mapping[int, str], parts: Sequence[Part] = ()) -> TestSet:
    """`classes`: the detector's, by id; `parts`: what else it finds.

    Raises `ConfigError` without a test set, `DataError` for broken images and for labels that cannot be right.
    """
    source = data.require_test()
    images = build_image_set(source, parts)
    images.check()
    labeled = images.parts if isinstance(images, CocoSet) else ()
    strict = isinstance(source, CocoData) and source.annotations_check
    matching = match(images, classes, data.labels, strict=strict)
    return TestSet(Relabeled(images, matching, classes) if matching.changes else images, matching, strict, labeled)


def in_terms_of(classes: Mapping[int, str], images: ImageSet, data: Data) -> tuple[ImageSet, Matching]:
    """Any images of `data` for looking at: what the detector has no class for is left out, nothing is refused."""
    names = [category.name for category in images.categories]
    renamed = {ours: theirs for ours, theirs in data.labels.items() if ours in names}
    matching = match(images, classes, renamed if classes else {}, strict=False)
    return (Relabeled(images, matching, classes) if matching.changes else images), matching
