"""The panel of rate and accuracy while runs come, change, break and go; no browser."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fpnkit.errors import RunError, UserError
from fpnkit.runs.layout import short_name
from fpnkit.widgets.rd.explorer import LOOK_SECONDS
from tests.support.panel_tools import Clock, count_traffic
from tests.support.rd_panels import add_lines, later, run_names
from tests.support.rd_store import ap_of, write_evaluation, write_run
from tests.support.run_processes import until


def test_a_running_sweep_fills_in_and_what_is_chosen_stays(
    rd_base: Path, rd_runs: list[Path], open_explorer: Any, seconds: Clock
) -> None:
    panel = open_explorer()
    panel.axes.y.value, panel.comparison.against.value = "snr_db.mean", "jpeg_input"
    panel.choice.which_anchors.value = "these"
    panel.choice.anchors.value = ("jpeg_input",)
    panel.finish()
    run = write_run(rd_base, 2.5e-3, losses=(), end=None)
    later(panel, seconds)
    assert len(run_names(panel)) == 4  # nothing to show of it yet
    drawn = panel.picture.value
    add_lines(run, "val", 1, 2)
    panel.update()
    panel.finish()
    assert panel.picture.value == drawn  # not before it is time
    later(panel, seconds)
    assert run.name in run_names(panel)
    assert panel.picture.value != drawn
    assert not panel.frame.set_index("run").loc[run.name, "evaluated"]
    drawn = panel.picture.value
    record = json.loads((run / "run.json").read_text())
    ended = {"exit_code": 0, "exit_reason": "finished", "ended": record["heartbeat"]}
    (run / "run.json").write_text(json.dumps(record | ended))
    write_evaluation(run / "evaluation" / "coco-val" / "00000004", 0.8, 0.4, epoch=2)
    later(panel, seconds)
    assert panel.frame.set_index("run").loc[run.name, "map"] == pytest.approx(ap_of(0.8))
    assert panel.picture.value != drawn
    chosen = (panel.axes.y.value, panel.comparison.against.value, panel.choice.anchors.value)
    assert chosen == ("snr_db.mean", "jpeg_input", ("jpeg_input",))
    panel.raise_failures()


def test_runs_deleted_while_they_are_shown_or_chosen_go_and_the_others_stay(
    rd_base: Path, rd_runs: list[Path], open_explorer: Any, seconds: Clock
) -> None:
    panel = open_explorer()
    panel.choice.which.value = "these"
    new = write_run(rd_base, 1e-3, 0.6, 0.1)
    later(panel, seconds)
    shutil.rmtree(rd_runs[1])
    shutil.rmtree(new)
    panel.choice.runs.value = (*rd_runs, new)  # before the panel knows
    panel.finish()
    assert f"<li>run {short_name(new.name)}: left out: {new}: not a run directory</li>" in panel.judged.value
    later(panel, seconds)
    panel.raise_failures()
    assert "left out" not in panel.judged.value
    left = {rd_runs[0], rd_runs[2], rd_runs[3]}
    assert set(panel.choice.runs.value) == left
    assert run_names(panel) == {run.name for run in left}


def test_a_broken_evaluation_is_left_out_with_the_reason(rd_runs: list[Path], open_explorer: Any) -> None:
    (summary,) = rd_runs[1].glob("evaluation/*/*/summary.json")
    summary.write_text("{")
    panel = open_explorer()
    panel.raise_failures()
    assert run_names(panel) == {run.name for run in rd_runs} - {rd_runs[1].name}
    assert f"left out: {summary}: is not complete JSON" in panel.judged.value


def test_no_runs_is_an_invitation_and_they_may_come_later(rd_home: Path, open_explorer: Any, seconds: Clock) -> None:
    panel = open_explorer()
    panel.raise_failures()
    assert "There are no runs yet" in panel.about.value
    assert panel.picture.layout.display == "none"
    with pytest.raises(UserError, match=r"^nothing to show: there are no runs yet; "):
        _ = panel.frame
    write_run(rd_home / "checkpoints" / "fpn_compression", 1e-4, 0.5, 0.1)
    later(panel, seconds)
    assert panel.picture.layout.display is None
    assert len(panel.frame) == 1


def test_nothing_evaluated_says_why_of_each_run(rd_base: Path, open_explorer: Any) -> None:
    write_run(rd_base, 1e-3, losses=(), end=(130, "STOP file"))
    panel = open_explorer()
    panel.raise_failures()
    assert "nothing to show: no run has an evaluation or a validation" in panel.about.value
    assert "left out: stopped, without an evaluation or a validation so far" in panel.about.value


def test_every_list_says_what_is_chosen_also_where_there_is_nothing(tmp_path: Path, open_explorer: Any) -> None:
    panel = open_explorer(tmp_path / "none")
    choices = (panel.choice.which, panel.choice.which_anchors, panel.choice.dataset, panel.comparison.against)
    assert [choice.label for choice in choices] == ["all", "all", "what most runs were evaluated on", "(nothing)"]


def test_a_missing_directory_is_said_in_place_and_may_appear(
    tmp_path: Path, rd_home: Path, rd_runs: list[Path], open_explorer: Any, seconds: Clock
) -> None:
    panel = open_explorer(tmp_path / "later")
    told = f"base directory {tmp_path / 'later'}: does not exist"
    assert {action: str(error) for action, error in panel.failures.items()} == {"refresh": told}
    with pytest.raises(RunError, match="nothing was read"):
        _ = panel.points
    rd_runs[0].parent.rename(tmp_path / "later")
    later(panel, seconds)
    panel.raise_failures()
    assert len(run_names(panel)) == 4


def test_polling_fills_the_panel_and_ends_with_it(rd_runs: list[Path], open_explorer: Any) -> None:
    panel = open_explorer(poll_seconds=0.02)
    panel.comparison.against.value = "jpeg_input"
    until(lambda: "BD-rate" in panel.comparison.savings.value)
    panel.raise_failures()


def test_an_hour_of_a_running_sweep_is_a_few_pictures(
    rd_base: Path, rd_runs: list[Path], open_explorer: Any, seconds: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of training every twenty seconds, a validation every four minutes."""
    run = write_run(rd_base, 2.5e-3, end=None)
    panel = open_explorer()
    panel.axes.y.value = "snr_db.mean"
    panel.finish()
    sent = count_traffic(monkeypatch)
    computed = panel.comparison.shares.value
    pictures, looks = 0, 0
    for number in range(180):
        seconds.seconds += 20
        if number % 12 == 6:
            add_lines(run, "val", 7 + number // 12)
        else:
            add_lines(run, "train", 7 + number // 12)
        before, looked = panel.picture.value, panel._looked
        panel.update()
        panel._reading.wait()
        assert not panel.comparison._work.busy  # what is compared is the same all the time
        panel.finish()
        pictures += panel.picture.value != before
        looks += panel._looked != looked
    assert pictures == 3600 // 240
    assert looks <= 3600 / LOOK_SECONDS
    large = [size for size in sent if size > 20_000]
    assert len(large) == pictures
    assert sum(sent) < 100_000 * pictures
    assert panel.comparison.shares.value == computed
    panel.raise_failures()
