"""Save figures with the points they show and their origin."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fpnkit.errors import UserError
from fpnkit.foundation.files import (
    is_machine_error,
    make_directory,
    parse_json,
    storage_error,
    write_bytes,
    write_json,
    write_text,
)
from fpnkit.plots.drawing import Drawing
from fpnkit.plots.style import style

log = logging.getLogger(__name__)
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs at length for each PDF how it subsets fonts

FORMATS = ("png", "pdf", "svg")
# No time of creation inside: the same data gives the same file.
_METADATA: Mapping[str, dict[str, object]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save_figure(
    figure: Figure,
    path: Path,
    points: pd.DataFrame,
    source: Mapping[str, object],
    formats: Sequence[str] | None = None,
) -> list[Path]:
    """Write `path` in its own format, or, without a suffix, in `formats`; returns the files written.

    The default formats are PNG and PDF.
    `<stem>.csv` holds the points and `<stem>.json` their origin (run names, commit, …). Raises `UserError` for another
    format and `StorageError`.
    """
    suffix = path.suffix.lstrip(".").lower()
    chosen = [suffix] if suffix else list(formats or FORMATS[:2])
    for name in chosen:
        if name not in FORMATS:
            raise UserError(f"figure {path}: required the format {', '.join(FORMATS)}; found {name}")
    stem = path.with_suffix("") if suffix else path
    try:
        os.makedirs(stem.parent, exist_ok=True)
    except OSError as error:
        if is_machine_error(error):
            raise storage_error(stem.parent, error) from error
        raise UserError(f"figure {path}: required a folder at {stem.parent}, found: {error.strerror}") from error
    written = []
    for name in chosen:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=name, metadata=_METADATA[name])
        target = stem.with_name(f"{stem.name}.{name}")
        write_bytes(target, buffer.getvalue())
        written.append(target)
    table, origin = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.json")
    write_text(table, points.to_csv(index=False))
    write_json(origin, dict(source))
    return [*written, table, origin]


def save_all(
    drawings: Sequence[Drawing],
    directory: Path,
    source: Mapping[str, object],
    *,
    dark: bool,
    formats: Sequence[str],
) -> None:
    """Save each figure with its CSV, and remove outdated figures of earlier analyses.

    A figure that the same code drew from the same `source` is left alone.
    """
    make_directory(directory)
    for drawing in drawings:
        origin = {**source, "figure": drawing.name, "dark": dark, "formats": list(formats)}
        if not _is_there(directory / drawing.name, origin, formats):
            with style(dark=dark):
                figure = drawing.draw()
                figure.draw_without_rendering()
                figure.set_layout_engine("none")  # already laid out; each format would do it again
                save_figure(figure, directory / drawing.name, drawing.points, origin, formats)
        for suffix in {".png", ".pdf"} - {f".{name}" for name in formats}:
            (directory / f"{drawing.name}{suffix}").unlink(missing_ok=True)
    _remove_others(directory, {drawing.name for drawing in drawings})


def _is_there(stem: Path, origin: Mapping[str, object], formats: Sequence[str]) -> bool:
    """The file with the origin is written last.

    Uncommitted code changes have no commit to compare, so they always redraw.
    """
    try:
        found = parse_json(stem.with_name(f"{stem.name}.json").read_text())
    except (OSError, ValueError):
        return False
    if found != json.loads(json.dumps(origin)) or "dirty" in str(origin.get("commit", "dirty")):
        return False
    return all(stem.with_name(f"{stem.name}.{kind}").exists() for kind in (*formats, "csv"))


def _remove_others(directory: Path, names: set[str]) -> None:
    for path in directory.glob("*.json"):
        try:
            ours = parse_json(path.read_text()).get("figure") == path.stem
        except (OSError, ValueError, AttributeError):
            continue
        if ours and path.stem not in names:
            log.info("%s: removed, because it showed an earlier checkpoint or other images", path.stem)
            for suffix in (".png", ".pdf", ".csv", ".json"):
                path.with_suffix(suffix).unlink(missing_ok=True)
