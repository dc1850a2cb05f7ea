"""Records: JSON files read as the dataclass that defines their schema.

Unknown keys are ignored. NaN and infinities are written as in `files.to_json`.
"""

from __future__ import annotations

import dataclasses
import json
from os import PathLike
from typing import Any, TypeVar

import msgspec

from fpnkit.errors import RunError
from fpnkit.foundation.files import from_json

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class _Version:
    schema_version: int = 1


def read_record(path: str | PathLike[str], kind: type[_T], newest: int) -> _T:
    """The record in a file, as a dataclass.

    Raises RunError if it is missing, unreadable, empty, not JSON, newer than schema version `newest`, or of another
    shape.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise RunError(f"{path}: does not exist") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        version = parse_record(data, _Version).schema_version
        if version > newest:
            raise RunError(f"{path}: has schema version {version}, this fpnkit reads up to {newest}; update fpnkit")
        return parse_record(data, kind)
    except ValueError as error:
        raise RunError(f"{path}: {_problem(data, kind, error)}") from error


def parse_record(data: bytes, kind: type[_T]) -> _T:
    """The record in a line or file. Raises ValueError if there is none."""
    try:
        if b"_repr" not in data and b"\\ud" not in data:
            return msgspec.json.decode(data, type=kind)
        # Numbers that JSON cannot hold, or names that are no Unicode: rare, and several times slower.
        return msgspec.convert(from_json(json.loads(data)), kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _problem(data: bytes, kind: type[Any], error: ValueError) -> str:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return "is not complete JSON" if data.strip() else "is empty"
    if not isinstance(values, dict):
        return f"must hold a JSON object, found {type(values).__name__}"
    missing = dataclasses.MISSING
    required = [each.name for each in dataclasses.fields(kind) if each.default is each.default_factory is missing]
    lacking = [name for name in required if name not in values]
    return f"lacks {', '.join(lacking)}" if lacking else f"holds something else: {error}"
