"""Which settings differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One setting that differs between two sides; None if a side lacks it."""

    key: str
    left: Any
    right: Any


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections → `section.key`; empty sections keep an entry."""
    result: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            result.update(flatten(value, f"{prefix}{key}."))
        else:
            result[f"{prefix}{key}"] = value
    return result


def differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    """Settings that differ, in the order of `left` and then of `right`."""
    a, b = flatten(left), flatten(right)
    return [Difference(key, a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]
