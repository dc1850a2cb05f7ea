"""Which points a line may join: those of runs that differ only in lambda, seed and output settings.

Runs of a codec of several rates are curves themselves, and differ only in seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fpnkit.config.diff import Difference, differences
from fpnkit.config.identity import of_curve
from fpnkit.ratedist.points import Point
from fpnkit.runs.settings import learned_by

_LONGEST_NAME = 36
_MOST_KEYS = 2  # in a name
_MOST_SAID = 4  # keys in a warning

Settings = Mapping[str, Any]


def joined(points: Sequence[Point]) -> tuple[dict[str, list[Point]], list[str]]:
    """Points by the name of their curve, and a warning for runs of one codec that are not joined."""
    curves: dict[str, list[Point]] = {}
    warnings: list[str] = []
    for codec in dict.fromkeys(point.codec for point in points):
        groups = _alike([point for point in points if point.codec == codec])
        if len(groups) == 1:
            curves[codec] = groups[0][1]
            continue
        names = _names(codec, [settings for settings, _ in groups])
        curves |= {name: members for name, (_, members) in zip(names, groups, strict=True)}
        for name, (settings, _) in list(zip(names, groups, strict=True))[1:]:
            found = differences(groups[0][0], settings)
            warnings.append(f"{name} is not joined with {names[0]}: {_said(found)}")
    return curves, warnings


def _alike(points: Sequence[Point]) -> list[tuple[Settings, list[Point]]]:
    """Groups of equal settings, the largest first."""
    groups: list[tuple[Settings, list[Point]]] = []
    for point in points:
        settings = _settings(point)
        for known, members in groups:
            if known == settings:
                members.append(point)
                break
        else:
            groups.append((settings, [point]))
    return sorted(groups, key=lambda group: -len(group[1]))


def _settings(point: Point) -> Settings:
    """Settings that the points of a curve share."""
    return {} if point.path is None else of_curve(learned_by(point.path))


def _names(codec: str, groups: Sequence[Settings]) -> list[str]:
    """`factorized channels=96` if that is short and unique, otherwise `factorized #2`."""
    first, *others = groups
    keys = list(dict.fromkeys(found.key for other in others for found in differences(first, other)))
    if len(keys) <= _MOST_KEYS:
        names = [f"{codec} {' '.join(f'{_last(key)}={_short(each.get(key))}' for key in keys)}" for each in groups]
        if len(set(names)) == len(names) and all(len(name) <= _LONGEST_NAME for name in names):
            return names
    return [f"{codec} #{number}" for number in range(1, len(groups) + 1)]


def _said(found: Sequence[Difference]) -> str:
    shown = [f"{each.key} {_short(each.right)} against {_short(each.left)}" for each in found[:_MOST_SAID]]
    more = f" and {len(found) - _MOST_SAID} more" if len(found) > _MOST_SAID else ""
    return ", ".join(shown) + more


def _short(value: Any) -> str:
    if value is None:  # not set, so that the codec or the detector decides
        return "default"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _last(key: str) -> str:
    return key.rpartition(".")[2]
