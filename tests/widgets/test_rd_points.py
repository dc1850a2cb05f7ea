"""Points chosen in an R-D figure or its table."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.errors import RunError
from fpnkit.widgets.rd.explorer import RDExplorer


def test_what_is_chosen_in_one_is_chosen_in_the_other(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer]
) -> None:
    panel = open_explorer()
    nothing = "no run is chosen: click on its point in the figure, or on its name in the table"
    with pytest.raises(RunError, match=f"^{re.escape(nothing)}$"):
        _ = panel.run
    spot = next(spot for spot in panel.picture.pointer.spots if f"run  {rd_runs[1].name[4:19]}" in spot[2])
    panel.picture.pointer.chosen = spot[3]
    assert panel.table.chosen == spot[3]
    assert panel.run.path == rd_runs[1]
    last = panel.table.ordered[-1]  # an anchor, on another page
    panel.table.chosen = last.key
    assert panel.picture.pointer.chosen == last.key
    with pytest.raises(RunError, match=f"^{re.escape(nothing)}$"):
        _ = panel.run
    panel.picture.pointer.chosen = ""
    assert panel.table.chosen == ""
    panel.raise_failures()


def test_what_is_chosen_stays_when_another_metric_is_drawn(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer]
) -> None:
    panel = open_explorer()
    panel.table.chosen = panel.table.ordered[2].key
    panel.axes.y.value = "self_map"
    panel.finish()
    keys = [key for *_, key, _ in panel.picture.pointer.spots]
    assert panel.picture.pointer.chosen == panel.table.chosen
    assert keys.count(panel.table.chosen) == 1
    assert panel.table.columns[2]["label"] == "self-mAP"


def test_the_table_begins_with_what_is_plotted_and_sorts_numbers(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer]
) -> None:
    panel = open_explorer()
    assert [column["label"] for column in panel.table.columns[:4]] == ["curve", "bpp", "mAP", "run"]
    panel.table.descending, panel.table.sort = True, "mAP"
    accuracies = [row.point.values["map"] for row in panel.table.ordered]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(accuracies) == sum(len(curve.points) for curve in panel.points.curves)
