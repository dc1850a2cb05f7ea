"""Figures of a report: what they are called, how they are read, how they are drawn, and how they get onto disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fpnkit.plots.save import save_figure
from fpnkit.plots.style import style

log = logging.getLogger(__name__)
logging.getLogger("fontTools").setLevel(logging.WARNING)  # for each PDF it tells at length how it cut the fonts down

_SUFFIXES = (".png", ".pdf", ".csv", ".json")


@dataclass(frozen=True)
class Drawing:
    """One figure."""

    name: str  # of its files, without suffix
    section: str
    title: str
    reading: str  # one sentence: how to read it
    points: pd.DataFrame
    draw: Callable[[], Figure]
    wide: bool = False  # on the page


def save_all(
    drawings: Sequence[Drawing],
    directory: Path,
    source: Mapping[str, object],
    *,
    dark: bool,
    formats: Sequence[str],
) -> None:
    """Each with its CSV; figures that earlier analyses left and that do not belong any more are removed."""
    directory.mkdir(parents=True, exist_ok=True)
    for drawing in drawings:
        with style(dark=dark):
            origin = {**source, "figure": drawing.name}
            save_figure(drawing.draw(), directory / drawing.name, drawing.points, origin, formats)
        for suffix in {".png", ".pdf"} - {f".{name}" for name in formats}:
            (directory / f"{drawing.name}{suffix}").unlink(missing_ok=True)
    _remove_others(directory, {drawing.name for drawing in drawings})


def _remove_others(directory: Path, names: set[str]) -> None:
    for path in directory.glob("*.json"):
        try:
            ours = json.loads(path.read_text()).get("figure") == path.stem
        except (OSError, ValueError, AttributeError):
            continue
        if ours and path.stem not in names:
            log.info("%s: removed, it showed an earlier checkpoint or other images", path.stem)
            for suffix in _SUFFIXES:
                path.with_suffix(suffix).unlink(missing_ok=True)
