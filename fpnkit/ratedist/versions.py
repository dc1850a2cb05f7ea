"""Anchors measured with several versions of their encoder: a curve for each, since no line may join them.

The version that was measured last is the anchor and has its name. An older one is named with what differs:
`hevc_input (PyAV 17.0.0)`.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence

from fpnkit.ratedist.points import Point
from fpnkit.runs.results import Summary

_LONGEST = 40  # of what stands in parentheses
_NOT_NOTED = "encoder not noted"  # before summaries had it

Measured = tuple[Point, Summary]


def by_version(measured: Sequence[Measured]) -> tuple[dict[str, list[Point]], list[str]]:
    """Points by the name of their curve; a warning for each version that its name cannot tell in full."""
    curves: dict[str, list[Point]] = {}
    warnings: list[str] = []
    for codec in dict.fromkeys(point.codec for point, _ in measured):
        newest, *older = _versions([pair for pair in measured if pair[0].codec == codec])
        curves[codec] = newest[1]
        for encoder, points in older:
            told = _told(encoder, newest[0])
            short = textwrap.shorten(told, _LONGEST, placeholder=" …", break_on_hyphens=False)
            name = next(each for each in _numbered(f"{codec} ({short})") if each not in curves)
            curves[name] = points
            if short != told:
                warnings.append(f"{name} is an older version of {codec}: {told}")
    return curves, warnings


def _versions(measured: Sequence[Measured]) -> list[tuple[str | None, list[Point]]]:
    """(encoder, points), the one that was measured last first."""
    versions: dict[str | None, list[Measured]] = {}
    for pair in measured:
        versions.setdefault(pair[1].encoder, []).append(pair)
    last = {encoder: max(summary.created or "" for _, summary in pairs) for encoder, pairs in versions.items()}
    ordered = sorted(versions.items(), key=lambda version: last[version[0]], reverse=True)
    return [(encoder, [point for point, _ in pairs]) for encoder, pairs in ordered]


def _told(encoder: str | None, newest: str | None) -> str:
    """What differs, each part of it with its first word: `PyAV 17.0.0, x265 aq-mode=1 without no-sao=1`."""
    if encoder is None:
        return _NOT_NOTED
    old, new = _parts(encoder), _parts(newest or "")
    said = []
    for name, words in old.items():
        others = new.get(name, [])
        more, less = [word for word in words if word not in others], [word for word in others if word not in words]
        if name not in new or more:
            said.append(" ".join([name, *more]))
        elif less:
            said.append(" ".join([name, "without", *less]))
    missing = [" ".join(["without", name, *words]) for name, words in new.items() if name not in old]
    return ", ".join([*said, *missing]) or "another order of settings"


def _parts(encoder: str) -> Mapping[str, list[str]]:
    """Of libraries and settings, as anchors separate them: first word → the others."""
    found: dict[str, list[str]] = {}
    for part in encoder.split(", "):
        name, *words = re.split(r"[ :]", part)
        found.setdefault(name, []).extend(words)
    return found


def _numbered(name: str) -> itertools.chain[str]:
    return itertools.chain([name], (f"{name} #{number}" for number in itertools.count(2)))
