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
    """Each with its CSV; figures that earlier analyses left and that do not belong any more are removed.

    A figure that the same code drew from the same `source` stays as it is.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for drawing in drawings:
        origin = {**source, "figure": drawing.name, "dark": dark, "formats": list(formats)}
        if not _is_there(directory / drawing.name, origin, formats):
            with style(dark=dark):
                figure = drawing.draw()
                figure.draw_without_rendering()
                figure.set_layout_engine("none")  # it is laid out; each format would do it again
                save_figure(figure, directory / drawing.name, drawing.points, origin, formats)
        for suffix in {".png", ".pdf"} - {f".{name}" for name in formats}:
            (directory / f"{drawing.name}{suffix}").unlink(missing_ok=True)
    _remove_others(directory, {drawing.name for drawing in drawings})


def _is_there(stem: Path, origin: Mapping[str, object], formats: Sequence[str]) -> bool:
    """The file that tells the origin is the last to be written; changed code is not known by its commit."""
    try:
        found = json.loads(stem.with_name(f"{stem.name}.json").read_text())
    except (OSError, ValueError):
        return False
    if found != json.loads(json.dumps(origin)) or "dirty" in str(origin.get("commit", "dirty")):
        return False
    return all(stem.with_name(f"{stem.name}.{kind}").exists() for kind in (*formats, "csv"))


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
