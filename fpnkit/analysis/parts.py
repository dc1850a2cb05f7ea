"""Tables of an analysis, saved part by part, so that an interrupted analysis continues where it stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fpnkit.foundation.files import make_directory, parse_json, write_json, write_text

log = logging.getLogger(__name__)

Tables = dict[str, pd.DataFrame]

VERSION = 2  # of what is computed; older tables are computed anew
FOLDER = "tables"
_MARKS = "parts.json"


class Parts:
    """Groups of tables in a directory, each with the facts it was computed from."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER

    def get(self, name: str, facts: Mapping[str, Any], compute: Callable[[], Tables]) -> Tables:
        """The tables of a part: read from disk if computed from the same facts, otherwise computed and saved."""
        known = self.known(name, facts)
        if known is not None:
            log.info("%s: tables already exist", name)
            return known
        tables = compute()
        make_directory(self._folder)
        for table, content in tables.items():
            write_text(self._folder / f"{table}.csv", content.to_csv(index=False))
        mark = {"facts": _with_version(facts), "tables": list(tables)}
        write_json(self._folder / _MARKS, self._marks() | {name: mark})
        return {table: read_table(self._folder, table) for table in tables}  # exactly as later readers will see them

    def known(self, name: str, facts: Mapping[str, Any]) -> Tables | None:
        """The tables of a part if they are there and were computed from the same facts."""
        mark = self._marks().get(name)
        if not isinstance(mark, dict) or mark.get("facts") != _with_version(facts):
            return None
        try:
            return {table: read_table(self._folder, table) for table in mark["tables"]}
        except (OSError, KeyError, ValueError):
            return None  # damaged: computed again

    def _marks(self) -> dict[str, Any]:
        try:
            marks = parse_json((self._folder / _MARKS).read_text())
        except (OSError, ValueError):
            return {}
        return marks if isinstance(marks, dict) else {}


def _with_version(facts: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps({"version": VERSION, **facts}))  # as they read back from the file


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """A table by name. Only an empty field counts as missing, so a class called NA keeps its name."""
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""], float_precision="round_trip")
