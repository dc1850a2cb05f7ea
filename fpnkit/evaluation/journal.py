"""Results per image, appended one by one, so that an interrupted evaluation can continue.

images.jsonl has one line per image, detections.jsonl its boxes. Boxes are written first; an image counts as done once
its line in images.jsonl is complete.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fpnkit.detectors.base import Detections
from fpnkit.errors import UserError
from fpnkit.foundation.files import append_text, from_json, to_json, write_bytes, write_json, write_text
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.metrics.coco_format import detections_from_coco, detections_to_coco
from fpnkit.runs import layout
from fpnkit.runs.results import DETECTIONS, IMAGES

_BOXES = "detections.jsonl"  # until `finish` makes a results file of it
_IDENTITY = "identity.json"


class Journal:
    """The files of one evaluation."""

    rows: list[dict[str, Any]]  # of images.jsonl
    detections: list[Detections]  # of the same images

    def __init__(self, directory: Path, identity: Mapping[str, str]) -> None:
        """Start, or continue an earlier evaluation with the same identity.

        Raises `UserError` if the identity differs.
        """
        self.directory = directory
        self._lock: DirectoryLock | None = None
        directory.mkdir(parents=True, exist_ok=True)
        _require_same(directory / _IDENTITY, identity)
        if not self.finished:
            # Two writers would corrupt the files; held until the journal is closed.
            self._lock = DirectoryLock(directory, "another process is evaluating into this directory; wait for it")
        rows = _complete_lines(directory / IMAGES)
        if self.finished:  # checked again: another process may have finished it just before releasing the lock
            self.rows = [from_json(json.loads(line)) for line in rows]
            self.detections = _results(directory / DETECTIONS, [row["image"] for row in self.rows])
            return
        boxes = _complete_lines(directory / _BOXES)
        count = min(len(rows), len(boxes))
        self.rows = [from_json(json.loads(line)) for line in rows[:count]]
        self.detections = [detections_from_coco(json.loads(line)) for line in boxes[:count]]
        write_bytes(directory / IMAGES, b"".join(rows[:count]))
        write_bytes(directory / _BOXES, b"".join(boxes[:count]))

    @property
    def finished(self) -> bool:
        """Whether the summary, which is written last, exists."""
        return (self.directory / layout.SUMMARY).is_file()

    def add(self, image_id: int, row: Mapping[str, Any], found: Detections) -> None:
        """Append one image."""
        append_text(self.directory / _BOXES, json.dumps(detections_to_coco(image_id, found)) + "\n")
        append_text(self.directory / IMAGES, json.dumps(to_json(row), allow_nan=False) + "\n")
        self.rows.append(dict(row))
        self.detections.append(found)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the results file, then the summary."""
        ids = [row["image"] for row in self.rows]
        entries = [entry for pair in zip(ids, self.detections, strict=True) for entry in detections_to_coco(*pair)]
        write_text(self.directory / DETECTIONS, json.dumps(entries) + "\n")
        write_json(self.directory / layout.SUMMARY, dict(summary))
        (self.directory / _BOXES).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let others write; what is not finished can be continued."""
        if self._lock is not None:
            self._lock.release()


def _require_same(path: Path, identity: Mapping[str, str]) -> None:
    try:
        before = json.loads(path.read_text())
    except FileNotFoundError:
        write_json(path, dict(identity))
        return
    wrong = [key for key in identity if before.get(key) != identity[key]]
    if wrong:
        required = ", ".join(f"{key} {identity[key]}" for key in wrong)
        found = ", ".join(f"{key} {before.get(key)}" for key in wrong)
        raise UserError(
            f"{path.parent}: holds an evaluation of something else: required {required}; found {found}; "
            "move the directory away to evaluate anew"
        )


def _results(path: Path, image_ids: Sequence[int]) -> list[Detections]:
    """A results file, in the order of the images."""
    by_image: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in json.loads(path.read_text()):
        by_image[entry["image_id"]].append(entry)
    return [detections_from_coco(by_image[image_id]) for image_id in image_ids]


def _complete_lines(path: Path) -> list[bytes]:
    """Lines with their newline; a torn last one is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines
