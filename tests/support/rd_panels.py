"""What tests of the panel of rate and accuracy have in common; fixtures are in conftest.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fpnkit.foundation.files import append_text, to_json
from fpnkit.widgets.rd.explorer import LOOK_SECONDS, RDExplorer
from tests.support.panel_tools import Clock
from tests.support.rd_store import START, validation

LAMBDAS = (1e-5, 4e-5, 1.6e-4, 6.4e-4)
FOUND = (0.3, 0.5, 0.65, 0.79)
BPP = (0.02, 0.05, 0.1, 0.2)
PNG = b"\x89PNG\r\n\x1a\n"


def later(panel: RDExplorer, seconds: Clock) -> None:
    """The next look at the disk, and what comes of it."""
    seconds.seconds += LOOK_SECONDS + 1000 * panel._spent
    panel.update()
    panel.finish()


def table_text(panel: RDExplorer) -> str:
    """All pages of the table of points."""
    header = [column["label"] for column in panel.table.columns]
    return "\n".join(["  ".join(header), *("  ".join(row.cells) for row in panel.table.ordered)])


def run_names(panel: RDExplorer) -> set[str]:
    return set(panel.frame["run"].dropna())


def add_lines(run: Path, split: Literal["train", "val"], *epochs: int) -> None:
    for epoch in epochs:
        line = replace(validation(START, epoch, 1 / epoch, 0.3), split=split)
        append_text(run / "metrics.jsonl", json.dumps(to_json(line.to_dict())) + "\n")
