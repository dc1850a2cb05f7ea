"""The panel of rate and accuracy while it reads, draws, resamples and saves: nothing is held up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnkit.foundation.steps import Step
from fpnkit.ratedist import resampling
from fpnkit.ratedist.overview import compare_all
from fpnkit.ratedist.resampling import Resampler
from fpnkit.widgets.rd import explorer, reading
from fpnkit.widgets.rd.explorer import RDExplorer
from tests.support.panel_tools import Held, before, click
from tests.support.rd_panels import run_names
from tests.support.run_processes import until


def test_runs_are_counted_while_they_are_read_and_the_last_choice_counts(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_explorer()
    drawn = panel.picture.value
    monkeypatch.setattr(reading, "read_run", before(held, reading.read_run))
    panel._reader._found.clear()
    click(panel.reload)
    assert held.reached()
    until(lambda: ">reading run<" in panel._reading.said and "1 of 4" in panel._reading.said)
    assert 'role="status"' in panel._reading.said
    assert "fpnkit-old" in panel.picture._dom_classes
    assert panel.picture.value == drawn
    panel.choice.which.value = "these"
    panel.choice.runs.value = rd_runs[:1]
    panel.axes.logarithmic.value = False  # draws what is there already
    panel._drawing.wait()
    assert panel.picture.value != drawn
    held.go()
    assert run_names(panel) == {rd_runs[0].name}
    panel.raise_failures()
    assert panel._reading.said == ""


def test_what_is_looked_up_on_its_own_account_is_not_told(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], held: Held, seconds: Any, monkeypatch: Any
) -> None:
    panel = open_explorer()
    monkeypatch.setattr(panel._reader, "look", before(held, panel._reader.look))
    seconds.seconds += explorer.LOOK_SECONDS + 1000 * panel._spent
    panel.update()
    assert held.reached()
    panel.update()  # one look is enough
    assert panel._reading.said == ""
    assert "fpnkit-old" not in panel.picture._dom_classes
    held.go()
    panel.raise_failures()
    assert held.entered == 1


def test_resampling_is_counted_by_points_and_the_figure_changes_meanwhile(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_explorer()
    monkeypatch.setattr(resampling, "average_precisions", before(held, resampling.average_precisions))
    panel.axes.y.value = "map50"
    assert held.reached()
    until(lambda: ">resampling point<" in panel.comparison._work.said and "1 of 8" in panel.comparison._work.said)
    panel._drawing.wait()
    assert "mAP50" in panel.picture.words
    panel.axes.y.value = "map"
    held.go()
    panel.raise_failures()
    assert "mAP" in panel.comparison.shares.value
    assert held.entered == 1 + 8 + 1  # of the first only one: nobody asks for the others any more


def test_every_point_is_resampled_once_and_the_ceiling_too(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    points, told, sampled = open_explorer().points, list[Step](), list[int]()
    work = resampling.average_precisions

    def count(*arguments: Any) -> Any:
        sampled.append(1)
        return work(*arguments)

    monkeypatch.setattr(resampling, "average_precisions", count)
    sampler = Resampler("bpp", "map")
    compare_all(points, sampler, "jpeg_input", told.append)
    assert [(step.what, step.count) for step in told] == [
        *(("resampling point", f"{number} of 8") for number in range(1, 9)),
        ("comparing curve", "1 of 2"),
        ("comparing curve", "2 of 2"),
    ]
    assert len(sampled) == 8 + 1


def test_a_figure_is_saved_in_the_background_once(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_explorer()
    monkeypatch.setattr(explorer, "save_rd", before(held, explorer.save_rd))
    click(panel.saving.button)
    assert held.reached()
    until(lambda: ">saving<" in panel.saving._saving.said)
    assert panel.saving.button.disabled
    panel.close()  # it is saved all the same
    held.go()
    panel.finish()
    assert {path.name for path in Path().glob("rd.*")} == {"rd.png", "rd.csv", "rd.json"}
    assert not panel.saving.button.disabled
