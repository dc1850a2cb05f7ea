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
from fpnkit.foundation.files import append_text, from_json, make_directory, parse_json, to_json, write_bytes, write_json
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.metrics.coco_format import detections_from_coco
from fpnkit.runs import layout
from fpnkit.runs.results import DETECTIONS, IMAGES

_BOXES = "detections.jsonl"  # until `finish` makes a results file of it
_IDENTITY = "identity.json"

CPU = "cpu"


class Journal:
    """The files of one evaluation. What they hold is read when asked for: a whole set of many coders is large."""

    def __init__(self, directory: Path, identity: Mapping[str, str], device: str = CPU) -> None:
        """Start, or continue an earlier evaluation with the same identity.

        Raises `UserError` if the identity differs, or the device of what is not finished, whose last digits differ.
        """
        self.directory = directory
        self._lock: DirectoryLock | None = None
        make_directory(directory)
        _require_same(directory, identity, device)
        if not self.finished:
            # Two writers would corrupt the files; held until the journal is closed.
            self._lock = DirectoryLock(directory, "evaluate")
        rows = _complete_lines(directory / IMAGES)
        self._count = len(rows)
        if self.finished:  # checked again: another process may have finished it just before releasing the lock
            return
        boxes = _complete_lines(directory / _BOXES)
        self._count = min(len(rows), len(boxes))
        write_bytes(directory / IMAGES, b"".join(rows[: self._count]))
        write_bytes(directory / _BOXES, b"".join(boxes[: self._count]))

    def __len__(self) -> int:
        """Images that are done."""
        return self._count

    @property
    def finished(self) -> bool:
        """Whether the summary, which is written last, exists."""
        return (self.directory / layout.SUMMARY).is_file()

    @property
    def bytes_written(self) -> int:
        """Of an evaluation that goes on."""
        return sum((self.directory / name).stat().st_size for name in (IMAGES, _BOXES))

    def rows(self) -> list[dict[str, Any]]:
        """Of images.jsonl."""
        return [from_json(parse_json(line)) for line in _complete_lines(self.directory / IMAGES)]

    def detections(self) -> list[Detections]:
        """In the same images."""
        if self.finished:
            return _results(self.directory / DETECTIONS, [row["image"] for row in self.rows()])
        return [detections_from_coco(parse_json(line)) for line in _complete_lines(self.directory / _BOXES)]

    def add(self, row: Mapping[str, Any], boxes: Sequence[Mapping[str, Any]]) -> None:
        """Append one image; `boxes` as in a results file."""
        append_text(self.directory / _BOXES, json.dumps(boxes) + "\n")
        append_text(self.directory / IMAGES, json.dumps(to_json(row), allow_nan=False) + "\n")
        self._count += 1

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the results file, then the summary."""
        lists = [line.rstrip()[1:-1] for line in _complete_lines(self.directory / _BOXES)]
        write_bytes(self.directory / DETECTIONS, b"[" + b", ".join(filter(None, lists)) + b"]\n")
        write_json(self.directory / layout.SUMMARY, dict(summary))
        (self.directory / _BOXES).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let others write; what is not finished can be continued."""
        if self._lock is not None:
            self._lock.release()


def _require_same(directory: Path, identity: Mapping[str, str], device: str) -> None:
    path = directory / _IDENTITY
    try:
        before = parse_json(path.read_text())
    except FileNotFoundError:
        write_json(path, {**identity, "device": device})
        return
    wrong = [key for key in identity if before.get(key) != identity[key]]
    if wrong:
        required = ", ".join(f"{key} {identity[key]}" for key in wrong)
        found = ", ".join(f"{key} {before.get(key)}" for key in wrong)
        raise UserError(
            f"{directory}: holds an evaluation of something else: required {required}; found {found}; "
            "move the directory away to evaluate anew"
        )
    begun = before.get("device", CPU)  # which it was before it was noted
    if begun != device and not (directory / layout.SUMMARY).is_file():
        raise UserError(
            f"{directory}: required the device that the evaluation was begun on, {begun}, found {device}; "
            f"--device {begun} goes on with it"
        )


def _results(path: Path, image_ids: Sequence[int]) -> list[Detections]:
    """A results file, in the order of the images."""
    by_image: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in parse_json(path.read_text()):
        by_image[entry["image_id"]].append(entry)
    return [detections_from_coco(by_image[image_id]) for image_id in image_ids]


def _complete_lines(path: Path) -> list[bytes]:
    """Lines with their newline; a torn last one is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines
