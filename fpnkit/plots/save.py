"""A figure on disk, with the points it shows and where they come from beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fpnkit.errors import UserError
from fpnkit.foundation.files import is_machine_error, storage_error, write_bytes, write_json, write_text

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
    """Write `path` in its own format, or, without a suffix, in `formats` (default: PNG and PDF); → files written.

    Beside it `<stem>.csv` holds the points and `<stem>.json` says what they were made from (run names, commit, …).
    Raises `UserError` for another format and `StorageError`.
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
