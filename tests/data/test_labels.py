"""Categories of a data set and a detector's classes."""

import pytest
import torch

from fpnkit.data.images import Category, Sample
from fpnkit.data.labels import Relabeled, match
from fpnkit.data.shapes import ShapesSet
from fpnkit.errors import DataError
from fpnkit.runs.results import MatchedCategory, Matching

CLASSES = {1: "person", 2: "bicycle", 8: "traffic light", 44: "wine glass"}


class Set(ShapesSet):
    """Of some categories, with one box of each in its only image."""

    def __init__(self, *categories: Category) -> None:
        super().__init__(1)
        self.name, self.categories = "mine", categories

    def __getitem__(self, index: int) -> Sample:
        count = len(self.categories)
        labels = torch.tensor([category.id for category in self.categories])
        boxes = torch.arange(4.0 * count).reshape(count, 4)
        return Sample(1, torch.zeros(3, 8, 8, dtype=torch.uint8), boxes, labels, torch.zeros(count, dtype=torch.bool))


def refused(*categories: Category, **renamed: str | None) -> str:
    with pytest.raises(DataError) as error:
        match(Set(*categories), CLASSES, renamed)
    return str(error.value)


def test_names_count_and_ids_do_not() -> None:
    found = match(Set(Category(2, "person", 5), Category(7, "Traffic_Light", 3)), CLASSES, {})
    known = MatchedCategory(2, "person", 1, "person"), MatchedCategory(7, "Traffic_Light", 8, "traffic light")
    assert found == Matching("name", known)
    assert found.changes
    assert found.describe() == (
        "2 of 2 categories matched with the detector's classes by name; Traffic_Light is traffic light"
    )


def test_the_detectors_own_categories_stay_as_they_are() -> None:
    found = match(Set(*(Category(number, name, 1) for number, name in CLASSES.items())), CLASSES, {})
    assert not found.changes
    assert found.describe() == "4 of 4 categories matched with the detector's classes by name"


def test_names_can_be_given_and_left_out() -> None:
    images = Set(Category(1, "pedestrian", 50), Category(2, "cone", 50), Category(3, "bicycle", 1))
    found = match(images, CLASSES, {"pedestrian": "Person", "cone": None})
    assert found.ids == {1: 1, 2: None, 3: 2}
    assert found.describe() == (
        "2 of 3 categories matched with the detector's classes by name; pedestrian is person; left out: cone"
    )
    sample = Relabeled(images, found, CLASSES)[0]
    assert sample.labels.tolist() == [1, 2]
    assert sample.boxes.tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert Relabeled(images, found, CLASSES).categories == (Category(1, "person"), Category(2, "bicycle"))


def test_names_that_the_detector_does_not_have_are_refused_with_a_remedy() -> None:
    assert refused(Category(1, "persons", 40), Category(2, "bicycle", 60), Category(3, "unicorn", 0)) == (
        "mine: required categories that the detector has, found persons (40 boxes); its classes are person, bicycle, "
        "traffic light, wine glass; data.labels: {persons: person} says what is meant, null leaves a category out"
    )
    assert refused(Category(7, "quux", 40)) == (
        "mine: required categories that the detector has, found quux (40 boxes); its classes are person, bicycle, "
        "traffic light, wine glass; data.labels: {quux: one of its classes} says what is meant, null leaves a category "
        "out"
    )


def test_few_boxes_of_other_categories_are_left_out() -> None:
    images = Set(Category(1, "person", 99), Category(2, "unicorn", 1))
    assert match(images, CLASSES, {}).ids == {1: 1, 2: None}
    images = Set(Category(1, "person", 9), Category(2, "unicorn", 1))
    assert match(images, CLASSES, {}, strict=False).ids == {1: 1, 2: None}
    with pytest.raises(DataError):
        match(images, CLASSES, {})


def test_a_detector_without_names_is_taken_by_its_ids() -> None:
    found = match(Set(Category(5, "person", 9)), {}, {})
    assert (found.ids, found.changes) == ({5: 5}, False)
    assert found.describe() == "matched with the detector's classes by id, since these have no names"
    with pytest.raises(DataError) as error:
        match(Set(Category(5, "person", 9)), {}, {"person": "human"})
    assert str(error.value) == "data.labels: required a detector whose classes have names, found one without"


def test_given_names_that_nobody_has_are_refused() -> None:
    one = Category(1, "pedestrian", 9)
    assert refused(one, pedestrians="person") == (
        "data.labels: required categories of the set, found pedestrians; did you mean pedestrian?"
    )
    assert refused(one, pedestrian="persom") == (
        "data.labels.pedestrian: required a class of the detector, found persom; did you mean person?"
    )
    assert refused(one, pedestrian="xyz") == (
        "data.labels.pedestrian: required a class of the detector, found xyz; they are person, bicycle, traffic light, "
        "wine glass"
    )
