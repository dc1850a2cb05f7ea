"""metrics.jsonl: one JSON object per line, never lost when the process is killed."""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from fpnkit.foundation.files import from_json, parse_json, storage_error, to_json

Split = Literal["train", "val"]


@dataclass(frozen=True)
class MetricsLine:
    """One measurement; fields that do not apply are None and left out of the file."""

    time: str  # ISO 8601 with offset
    split: Split
    epoch: int
    step: int
    loss: float
    bpp_estimated: float | None = None
    distortion: float | None = None
    aux_loss: float | None = None
    lr: float | None = None
    seconds: float | None = None
    snr_db: Mapping[str, float] | None = None  # by level
    bpp_level: Mapping[str, float] | None = None  # by level
    extra: Mapping[str, float] = field(default_factory=dict)  # further numbers, such as a detector's `map`

    def to_dict(self) -> dict[str, Any]:
        """Key by key as in the file; NaN is still NaN."""
        named = {name: getattr(self, name) for name in _NAMES}
        return {key: value for key, value in named.items() if value is not None} | dict(self.extra)

    @staticmethod
    def from_dict(data: object) -> "MetricsLine":
        """The reverse of `to_dict`. Raises KeyError, TypeError or ValueError if it is not a metrics line."""
        if not isinstance(data, dict):
            raise TypeError(f"a metrics line must be an object, found {type(data).__name__}")
        extra = {key: value for key, value in data.items() if key not in _NAMES}
        return MetricsLine(
            time=str(data.get("time", "")),
            split=data["split"],
            epoch=int(data["epoch"]),
            step=int(data["step"]),
            loss=float(data["loss"]),
            bpp_estimated=as_number(data.get("bpp_estimated")),
            distortion=as_number(data.get("distortion")),
            aux_loss=as_number(data.get("aux_loss")),
            lr=as_number(data.get("lr")),
            seconds=as_number(data.get("seconds")),
            snr_db=_levels(data.get("snr_db")),
            bpp_level=_levels(data.get("bpp_level")),
            extra=_numbers(extra),
        )


_NAMES = tuple(item.name for item in fields(MetricsLine) if item.name != "extra")


class MetricsWriter:
    """Appends lines; opening repairs a last line that a killed process left incomplete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise storage_error(path, error) from error
        try:
            _mend(self._file, path)
        except BaseException:
            self.close()
            raise

    def append(self, line: MetricsLine) -> None:
        """Write the line and flush it. Raises StorageError and leaves no partial line."""
        _append(self._file, self.path, json.dumps(to_json(line.to_dict()), allow_nan=False).encode() + b"\n")

    def sync(self) -> None:
        """Sync to disk, so that lines survive a power failure."""
        with contextlib.suppress(OSError):
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
        self._file = -1  # the system gives the number to the next file that is opened


def read_metrics(path: Path) -> list[MetricsLine]:
    """All lines in order; a later line with the same (split, epoch, step) replaces the earlier one.

    Broken lines are skipped; a missing file has none.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines: dict[tuple[Split, int, int], MetricsLine] = {}
    for text in data.split(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            line = MetricsLine.from_dict(from_json(parse_json(text)))
            lines[line.split, line.epoch, line.step] = line
    return list(lines.values())


def _mend(file: int, path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole == len(data):
        return
    try:
        lacks_newline_only = isinstance(parse_json(data[whole:]), dict)
    except ValueError:
        lacks_newline_only = False
    if lacks_newline_only:
        _append(file, path, b"\n")
    else:
        os.ftruncate(file, whole)


def _append(file: int, path: Path, data: bytes) -> None:
    size = os.fstat(file).st_size
    try:
        while data:  # a disk that fills up takes part of the line and refuses the rest
            data = data[os.write(file, data) :]
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise storage_error(path, error) from error


def as_number(value: object) -> float | None:
    """A JSON value as a float, or None if it is not a number."""
    if type(value) is float:  # the common case: a list of thousands of runs calls this 20 times for each
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    return {key: number for key, value in values.items() if (number := as_number(value)) is not None}


def _levels(values: object) -> dict[str, float] | None:
    return _numbers(values) if isinstance(values, dict) else None
