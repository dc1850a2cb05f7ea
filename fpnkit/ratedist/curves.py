"""Which points a line may join: those of runs that differ in nothing but lambda, seed, and what is written where."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fpnkit.config.diff import Difference, differences, flatten
from fpnkit.config.load import load_config, plain
from fpnkit.errors import ConfigError
from fpnkit.ratedist.points import Point
from fpnkit.runs import layout
from fpnkit.runs.settings import OUTPUT_ONLY, plain_settings

_FREE = (*OUTPUT_ONLY, "loss.lambda", "seed")  # a line joins lambdas, a band seeds
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
    """All that decides what is learned; nothing for an anchor."""
    if point.path is None:
        return {}
    try:
        stat = (point.path / layout.CONFIG_USED).stat()
    except OSError:
        return _read_settings(point.path)
    return _known_settings(point.path, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@functools.lru_cache(maxsize=10_000)
def _known_settings(path: Path, stamp: tuple[int, int, int]) -> Settings:
    """A file takes a millisecond, and a panel asks for all of them whenever one run changed."""
    return _read_settings(path)


def _read_settings(path: Path) -> Settings:
    try:
        settings = flatten(plain(load_config(path / layout.CONFIG_USED)))
    except ConfigError:  # of another version of fpnkit
        try:
            settings = plain_settings(path)
        except ConfigError as error:
            return {"config_used.yaml": str(error)}
    return {key: value for key, value in settings.items() if not _is_free(key)}


def _is_free(key: str) -> bool:
    return key.startswith(_FREE)


def _names(codec: str, groups: Sequence[Settings]) -> list[str]:
    """`factorized channels=96` where that is short and tells them apart, else `factorized #2`."""
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
