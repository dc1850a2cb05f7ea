"""The labels of a data set in a detector's terms: categories are matched by name, ids mean nothing."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

import torch

from fpnkit.data.images import Category, ImageSet, Sample
from fpnkit.errors import DataError
from fpnkit.runs.results import MatchedCategory, Matching

_ACCIDENT = 0.02  # share of boxes without a category of the detector's that is no mistake in the names


def match(
    images: ImageSet, classes: Mapping[int, str], renamed: Mapping[str, str | None], *, strict: bool = True
) -> Matching:
    """`classes`: the detector's, by id; `renamed`: names of the set → the detector's, or none to leave them out.

    Categories without boxes need no class. Raises `DataError` if `renamed` speaks of names that neither has, or, if
    `strict`, where more than a few boxes are of categories that the detector does not have.
    """
    categories = [each for each in images.categories if each.boxes != 0 or each.name in renamed]
    if not classes:
        if renamed:
            raise DataError("data.labels: required a detector whose classes have names, found one without")
        return Matching("id", tuple(MatchedCategory(each.id, each.name, each.id) for each in categories))
    by_name: dict[str, int] = {}
    for number, name in classes.items():
        by_name.setdefault(_plain(name), number)
    _check_renamed(images.categories, classes, renamed)
    wanted = {each: renamed.get(each.name, each.name) for each in categories}
    ids = {each.id: None if name is None else by_name.get(_plain(name)) for each, name in wanted.items()}
    missing = [each for each, name in wanted.items() if name is not None and ids[each.id] is None]
    if strict and _too_many(missing, categories):
        raise DataError(_missing(images.name, missing, list(classes.values())))
    return Matching("name", tuple(_matched(each, ids[each.id], classes) for each in categories))


class Relabeled:
    """An image set with the detector's labels; objects that it has no class for are left out."""

    def __init__(self, images: ImageSet, matching: Matching, classes: Mapping[int, str]) -> None:
        self._images, self._ids = images, matching.ids
        self.name = images.name
        numbers = dict.fromkeys(number for number in matching.ids.values() if number is not None)
        self.categories = tuple(Category(number, classes[number]) for number in numbers)
        self.identity, self.title, self.size, self.check = images.identity, images.title, images.size, images.check

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        sample = self._images[index]
        labels = [self._ids.get(label) for label in sample.labels.tolist()]
        kept = torch.tensor([label is not None for label in labels], dtype=torch.bool)
        known = torch.tensor([label for label in labels if label is not None], dtype=torch.int64)
        return dataclasses.replace(sample.only(kept), labels=known)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _matched(category: Category, number: int | None, classes: Mapping[int, str]) -> MatchedCategory:
    return MatchedCategory(category.id, category.name, number, None if number is None else classes[number])


def _check_renamed(
    categories: Sequence[Category], classes: Mapping[int, str], renamed: Mapping[str, str | None]
) -> None:
    ours, theirs = [each.name for each in categories], list(classes.values())
    for ours_name, theirs_name in renamed.items():
        if ours_name not in ours:
            raise DataError(
                f"data.labels: required categories of the set, found {ours_name}{_nearest(ours_name, ours)}"
            )
        if theirs_name is not None and _plain(theirs_name) not in map(_plain, theirs):
            near = _nearest(theirs_name, theirs)
            raise DataError(f"data.labels.{ours_name}: required a class of the detector, found {theirs_name}{near}")


def _too_many(missing: Sequence[Category], categories: Sequence[Category]) -> bool:
    counts = [each.boxes for each in missing]
    total = sum(each.boxes or 0 for each in categories)
    return bool(missing) and (None in counts or sum(count or 0 for count in counts) > _ACCIDENT * total)


def _missing(name: str, missing: Sequence[Category], classes: Sequence[str]) -> str:
    shown = [each.name + (f" ({each.boxes} boxes)" if each.boxes else "") for each in missing]
    some = ", ".join(classes[:5]) + (f", … ({len(classes)} in all)" if len(classes) > 5 else "")
    near = difflib.get_close_matches(missing[0].name, classes, 1)
    example = f"{{{missing[0].name}: {near[0] if near else 'one of its classes'}}}"
    return (
        f"{name}: required categories that the detector has, found {', '.join(shown)}; its classes are {some}; "
        f"data.labels: {example} says what is meant, null leaves a category out"
    )


def _nearest(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, 1, 0.4)
    return f"; did you mean {found[0]}?" if found else f"; they are {', '.join(known)}"
