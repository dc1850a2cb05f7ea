"""Images with annotations in COCO format (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fpnkit.container import MAX_SIDE
from fpnkit.data.coco_parts import LabeledParts, read_parts
from fpnkit.data.files import file_identity, first_five, problems_of_files, read_rgb, shortened
from fpnkit.data.images import Category, Sample
from fpnkit.data.labels_check import Doubt, doubts
from fpnkit.errors import DataError
from fpnkit.runs.results import Part

_log = logging.getLogger(__name__)

_LARGEST_ID, _LARGEST_CATEGORY = 2**63 - 1, 2**31 - 1  # what tables hold; what rows of boxes hold, in float64
_LARGEST_COORDINATE = 2**31 - 1  # far outside of any image
_LIFTED = "where this is meant so, annotations_check: off beside the annotations accepts it"


class _Image(TypedDict):
    id: int
    file_name: str
    height: int
    width: int


class _Annotation(TypedDict):
    id: NotRequired[int]
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]  # left, top, width, height
    iscrowd: NotRequired[int]


class _Category(TypedDict):
    id: int
    name: str


class _File(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]

    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class _WithParts(_Annotation):
    segmentation: NotRequired[Any]
    keypoints: NotRequired[list[float]]
    num_keypoints: NotRequired[int]
    area: NotRequired[float]


class _FileWithParts(_File):
    annotations: list[_WithParts]  # type: ignore[misc]


_FORMAT = TypeAdapter(_File)
_FORMAT_WITH_PARTS = TypeAdapter(_FileWithParts)


class CocoSet:
    """Images and boxes listed in a JSON file in COCO format; other images are ignored.

    Pixels are used as stored (no Exif rotation), because the boxes refer to them. Boxes without area, which COCO's own
    train2017 contains, are left out. Raises `DataError` that lists all problems of the JSON file and, if there are any,
    of the images; otherwise the images are left to `check`. Labels that can hardly be right are a problem too where
    they are many and `strict`, else a warning.

    Masks and keypoints are read if `parts` asks for them; `parts` then says which of them are labeled.
    """

    def __init__(
        self,
        images: Path,
        annotations: Path,
        limit: int | None = None,
        *,
        strict: bool = True,
        parts: Sequence[Part] = (),
    ) -> None:
        content = _parse(annotations, parts)
        self._folder, self._file = images, annotations
        self._images = content["images"][:limit]
        boxes = Counter(entry["category_id"] for entry in content["annotations"])
        self.categories = tuple(
            Category(entry["id"], entry["name"], boxes[entry["id"]]) for entry in content["categories"]
        )
        self.name = _set_name(annotations) + (f"_first{limit}" if limit else "")
        problems = _problems(content)
        if not problems:
            problems = self._judged(doubts_of(content), strict)
        annotations_used = content["annotations"] if problems else _solid(content["annotations"])
        sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in self._images}
        self.parts: tuple[Part, ...] = ()
        self._parts: dict[int, LabeledParts] = {}
        if parts and not problems:
            found = read_parts(annotations_used, sizes, parts)
            self.parts, self._parts = found.found, found.by_image
            problems = [f"{title}: {first_five(those)}" for title, those in found.problems.items()]
        if problems:
            self._fail(problems + self._file_problems(range(len(self._images))))
        self._rows = _rows_by_image(annotations_used)

    def __len__(self) -> int:
        return len(self._images)

    def _path(self, index: int) -> Path:
        return self._folder / self._images[index]["file_name"]

    def __getitem__(self, index: int) -> Sample:
        image_id = self._images[index]["id"]
        rows = self._rows.get(image_id, np.zeros((0, 6)))
        boxes = torch.from_numpy(rows[:, :4]).float()  # a copy
        boxes[:, 2:] += boxes[:, :2]
        parts = self._parts.get(image_id, LabeledParts())
        return Sample(
            image_id=image_id,
            image=read_rgb(self._path(index), upright=False),
            boxes=boxes,
            labels=torch.from_numpy(rows[:, 4]).long(),
            crowd=torch.from_numpy(rows[:, 5]).bool(),
            masks=parts.masks,
            keypoints=None if parts.keypoints is None else torch.from_numpy(parts.keypoints),
            areas=None if parts.areas is None else torch.from_numpy(parts.areas),
        )

    def identity(self, index: int) -> str:
        """Place, size and time of the last change of the file."""
        return file_identity(self._path(index))

    def title(self, index: int) -> str:
        """The file as the JSON file names it."""
        return self._images[index]["file_name"]

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, from the JSON file; `check` compares it with the image."""
        return self._images[index]["height"], self._images[index]["width"]

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Decode every image; raise `DataError` that names missing and broken ones and those with another size."""
        if problems := self._file_problems(range(len(self)) if indices is None else indices):
            self._fail(problems)

    def _file_problems(self, indices: Sequence[int]) -> list[str]:
        if not self._folder.is_dir():
            return [
                f"images: required the folder {self._folder}, found {'a file' if self._folder.exists() else 'none'}"
            ]
        names = [self._images[index]["file_name"] for index in indices]
        problems = problems_of_files(
            [self._path(index) for index in indices], names, lambda position: self.size(indices[position])
        )
        return [f"{problem} in {self._folder}" for problem in problems]

    def _judged(self, found: Sequence[Doubt], strict: bool) -> list[str]:
        """Those that are problems; warns of the others."""
        problems = [doubt.text for doubt in found if strict and not doubt.accident]
        for doubt in found:
            if doubt.text not in problems:
                _log.warning("%s: %s", self._file, doubt.text, extra={"kind": "boxes"})
        return [*problems, _LIFTED] if problems else []

    def _fail(self, problems: list[str]) -> None:
        raise DataError("\n  ".join([f"{self._file}:", *problems]))


def _parse(path: Path, parts: Sequence[Part]) -> _File:
    """The JSON file, with the types of all entries checked; raises `DataError` that names wrong ones."""
    try:
        form: TypeAdapter[_File] = cast("TypeAdapter[_File]", _FORMAT_WITH_PARTS) if parts else _FORMAT
        return form.validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: required an annotation file in COCO format, found: {error.strerror}") from None
    except ValidationError as error:
        entries: defaultdict[str, list[object]] = defaultdict(list)
        for problem in error.errors(include_url=False, include_input=False):
            place = problem["loc"]
            field = "[].".join(str(part) for part in place if isinstance(part, str))
            index = next((part for part in place if isinstance(part, int)), None)
            entries[f"{field}: {problem['msg']}" if field else problem["msg"]] += [] if index is None else [index]
        lines = [f"{text}; at index {first_five(which)}" if which else text for text, which in entries.items()]
        raise DataError("\n  ".join([f"{path}: not in COCO format", *lines])) from None


def _problems(content: _File) -> list[str]:
    """Problems within the JSON file, one line each."""
    images, annotations, categories = content["images"], content["annotations"], content["categories"]
    image_ids, category_ids = {entry["id"] for entry in images}, {entry["id"] for entry in categories}
    boxes = _box_array(annotations)
    finite = np.isfinite(boxes).all(axis=1)
    found: dict[str, list[object]] = {
        "images of impossible size": [
            f"{shortened(entry['file_name'])} of {entry['width']} x {entry['height']}"
            for entry in images
            if not (1 <= entry["width"] <= MAX_SIDE and 1 <= entry["height"] <= MAX_SIDE)
        ],
        "file names that lead out of the folder": [
            shortened(entry["file_name"]) for entry in images if not _is_inside(entry["file_name"])
        ],
        f"image ids that are not within {_LARGEST_ID}": _beyond(image_ids, _LARGEST_ID),
        f"annotation ids that are not within {_LARGEST_ID}": _beyond(
            (entry["id"] for entry in annotations if "id" in entry), _LARGEST_ID
        ),
        f"category ids that are not within {_LARGEST_CATEGORY}": _beyond(category_ids, _LARGEST_CATEGORY),
        "image ids that occur twice": _repeated([entry["id"] for entry in images]),
        "category ids that occur twice": _repeated([entry["id"] for entry in categories]),
        "unknown image_id in annotations": _others([entry["image_id"] for entry in annotations], image_ids),
        "unknown category_id in annotations": _others([entry["category_id"] for entry in annotations], category_ids),
        "boxes that are not finite": boxes[~finite].tolist(),
        f"boxes with numbers that are not within {_LARGEST_COORDINATE}": boxes[
            finite & (np.abs(boxes) > _LARGEST_COORDINATE).any(axis=1)
        ].tolist(),
        "boxes of negative size": boxes[finite & (boxes[:, 2:] < 0).any(axis=1)].tolist(),
    }
    empty = [] if images else ["images: required at least one, found none"]
    return empty + [f"{title}: {first_five(those)}" for title, those in found.items() if those]


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts


def _box_array(annotations: list[_Annotation]) -> NDArray[np.float64]:
    return np.array([entry["bbox"] for entry in annotations], dtype=np.float64).reshape(-1, 4)


def _repeated(ids: list[int]) -> list[object]:
    return [number for number, times in Counter(ids).items() if times > 1]


def _beyond(ids: Iterable[int], largest: int) -> list[object]:
    return [number for number in ids if abs(number) > largest]


def _others(ids: list[int], known: set[int]) -> list[object]:
    return [number for number in dict.fromkeys(ids) if number not in known]


def doubts_of(content: _File) -> list[Doubt]:
    """Of a file without problems; one without categories is unlabeled on purpose."""
    if not content["annotations"] and not content["categories"]:
        return []
    positions = {entry["id"]: index for index, entry in enumerate(content["images"])}
    indices = [positions[entry["image_id"]] for entry in content["annotations"]]
    sizes = np.array([(entry["height"], entry["width"]) for entry in content["images"]], dtype=np.float64)
    ids = [entry["id"] for entry in content["annotations"] if "id" in entry]
    return doubts(_box_array(content["annotations"]), indices, sizes, ids)


def _solid(annotations: list[_Annotation]) -> list[_Annotation]:
    """Without boxes of no area."""
    flat = (_box_array(annotations)[:, 2:] == 0).any(axis=1)
    return [entry for entry, skip in zip(annotations, flat, strict=True) if not skip]


def _rows_by_image(annotations: list[_Annotation]) -> dict[int, NDArray[np.float64]]:
    """Image id → (n, 6): left, top, width, height, category id, crowd."""
    boxes = _box_array(annotations)
    rows: defaultdict[int, list[list[float]]] = defaultdict(list)
    for entry, box in zip(annotations, boxes.tolist(), strict=True):
        rows[entry["image_id"]].append([*box, entry["category_id"], bool(entry.get("iscrowd", 0))])
    return {image_id: np.array(those, dtype=np.float64) for image_id, those in rows.items()}


def _set_name(annotations: Path) -> str:
    """Name from folder and file, without generic words: `coco-val206`, `bccd_train`, `instances_val2017`."""
    parts = [part for part in (annotations.resolve().parent.name, annotations.stem) if part != "annotations"]
    return "_".join(parts) or "annotations"
