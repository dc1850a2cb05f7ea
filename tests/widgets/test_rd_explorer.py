"""The panel of rate and accuracy, what it shows and keeps, on runs whose AP is known; no browser."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest

from fpnkit import rd
from fpnkit.config.load import load_config
from fpnkit.launch.sweep import new_sweep, write_sweep
from fpnkit.widgets.rd.explorer import RDExplorer
from tests.support.panel_tools import click, everything
from tests.support.rd_panels import LAMBDAS, PNG, run_names, table_text
from tests.support.rd_store import ap_of, write_anchor, write_run


def test_all_runs_with_their_anchors_are_drawn_and_told(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer]
) -> None:
    panel = open_explorer()
    panel.raise_failures()
    assert panel.picture.value.startswith(PNG)
    assert [curve.name for curve in panel.points.curves] == ["factorized", "jpeg_input"]
    assert f"mAP on uncompressed features {100 * ap_of(0.8):.1f}" in panel.about.value
    ends = f"factorized: {100 * ap_of(0.3):.3g} at 0.02 to {100 * ap_of(0.79):.3g} at 0.2."
    assert ends in panel.picture.words
    assert rd_runs[0].name in run_names(panel)
    for text in ("20261216_140000", f"{100 * ap_of(0.65):.1f} ["):
        assert text in table_text(panel)
    assert "mAP (%)" in panel.figure().axes[0].get_ylabel()
    told = [words for _, _, words, *_ in panel.picture.pointer.spots]
    assert len(told) == sum(len(curve.points) for curve in panel.points.curves)
    assert told[0].startswith("curve  factorized\nrun  20261216_140000\nlambda  1e-5\nbpp  0.02\nmAP  ")


def test_it_says_what_the_command_says(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], capsys: pytest.CaptureFixture[str]
) -> None:
    panel = open_explorer()
    panel.comparison.against.value = "jpeg_input"
    panel.finish()
    assert rd.main(["--bd", "jpeg_input"]) == 0
    printed = capsys.readouterr().out
    parts = (panel.comparison.shares, panel.comparison.savings, panel.judged, panel.about)
    shown = table_text(panel) + "".join(part.value for part in parts)
    cells = [cell.strip() for line in printed.splitlines() for cell in line.split("  ") if cell.strip()]
    assert len(cells) > 150
    assert [cell for cell in cells if cell not in shown and cell != "Next"] == []
    assert "-50." in panel.comparison.savings.value or "-49.9" in panel.comparison.savings.value


def test_the_next_lambda_comes_with_a_command_that_trains_it(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer], tmp_path: Path
) -> None:
    panel = open_explorer()
    command = f"python -m fpnkit.train --config {rd_runs[0]}/config_used.yaml --lambda 2e-5<"
    assert command in panel.judged.value  # between 1e-5 and 4e-5 the rate grows 2.5 times
    shutil.copytree(rd_runs[0].parent, tmp_path / "runs")
    other = open_explorer(tmp_path / "runs")
    assert f"--lambda 2e-5 --base-dir {tmp_path / 'runs'}<" in other.judged.value


def test_axes_metric_ceiling_and_intervals_change_the_figure(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer]
) -> None:
    panel = open_explorer()
    axes = panel.axes
    drawn = [panel.picture.value]
    assert panel.figure().axes[0].get_xscale() == "log"
    axes.logarithmic.value = False
    assert panel.figure().axes[0].get_xscale() == "linear"
    assert panel.figure().axes[0].get_xlim()[0] == 0
    panel.finish()
    drawn.append(panel.picture.value)
    axes.x.value = "kb_per_image"
    panel.finish()
    drawn.append(panel.picture.value)
    axes.y.value = "snr_db.p3"
    panel.finish()
    drawn.append(panel.picture.value)
    assert panel.figure().axes[0].get_ylabel() == "SNR p3 (dB)"
    assert "SNR p3 (dB) over size (KB per image)" in panel.picture.words
    axes.y.value = "map50"
    texts = [text.get_text() for text in panel.figure().axes[0].texts]
    assert texts == [f"uncompressed {100 * ap_of(0.8):.3g}"]
    panel.finish()
    drawn.append(panel.picture.value)
    axes.ceiling.value = False
    assert list(panel.figure().axes[0].texts) == []
    panel.finish()
    drawn.append(panel.picture.value)
    axes.y.value = "map"
    panel.finish()
    with_intervals = panel.picture.value
    axes.intervals.value = False
    panel.finish()
    assert panel.picture.value != with_intervals
    panel.dark.value = True
    panel.finish()
    drawn += [with_intervals, panel.picture.value]
    assert len(set(drawn)) == len(drawn)
    panel.raise_failures()


def test_no_figure_is_made_again_for_the_same_points(
    rd_runs: list[Path], open_explorer: Callable[..., RDExplorer]
) -> None:
    panel = open_explorer()
    before = panel.picture._image.value
    panel.picture._image.value = "as it was"
    click(panel.reload)
    panel.finish()
    assert panel.picture._image.value == "as it was"
    panel.axes.ceiling.value = False
    panel.finish()
    assert panel.picture._image.value not in ("as it was", before)


def test_runs_anchors_and_data_sets_are_chosen(
    rd_base: Path, rd_home: Path, rd_runs: list[Path], open_explorer: Any
) -> None:
    write_anchor(rd_home, "webp_input", 20, 0.5, 0.1)
    cars = [write_run(rd_base, lmbda, 0.4, 0.1, dataset="cars", data_id="c" * 16) for lmbda in LAMBDAS[:2]]
    panel = open_explorer()
    choice = panel.choice
    assert run_names(panel) == {run.name for run in rd_runs}
    options = [("coco-val (most runs)", ""), ("cars", "cars"), ("coco-val", "coco-val")]
    assert list(choice.dataset.options) == options
    choice.dataset.value = "cars"
    assert list(choice.dataset.options) == options
    assert run_names(panel) == {run.name for run in cars}
    assert "factorized" in set(panel.frame["curve"])
    choice.dataset.value = "coco-val"
    choice.which_anchors.value = "none"
    assert set(panel.frame["curve"]) == {"factorized"}
    choice.which_anchors.value = "these"
    assert choice.anchors.value == ("jpeg_input", "webp_input")
    choice.anchors.value = ("webp_input",)
    assert set(panel.frame["curve"]) == {"factorized", "webp_input"}
    choice.which.value = "these"
    assert set(choice.runs.value) == set(rd_runs)  # what is drawn is marked first
    choice.runs.value = (rd_runs[1], rd_runs[2])
    assert run_names(panel) == {rd_runs[1].name, rd_runs[2].name}
    choice.search.value = "6.4e-4"
    assert run_names(panel) == {rd_runs[3].name}
    choice.search.value = ""
    assert len(choice.runs.options) == 6
    choice.runs.value = ()
    assert run_names(panel) == set()
    assert set(panel.frame["curve"]) == {"webp_input"}
    panel.raise_failures()


def test_an_older_version_of_an_anchor_stands_beside_it(rd_home: Path, rd_runs: list[Path], open_explorer: Any) -> None:
    """Those of the fixture are from before encoders were noted."""
    before = {curve.name: len(curve.points) for curve in open_explorer().points.curves}
    new = {"encoder": "Pillow 13.0.0", "created": "2027-01-01T00:00:00.000+00:00"}
    write_anchor(rd_home, "jpeg_input", 33, 0.5, 0.1, key="00000001", **new)
    panel = open_explorer()
    panel.raise_failures()
    names = ["factorized", "jpeg_input", "jpeg_input (encoder not noted)"]
    counts = [before["factorized"], 1, before["jpeg_input"]]
    assert [(curve.name, len(curve.points)) for curve in panel.points.curves] == list(zip(names, counts, strict=True))
    assert names[2] in table_text(panel)
    assert set(names[1:]) < set(dict(panel.comparison.against.options).values())
    panel.choice.which_anchors.value = "these"
    assert panel.choice.anchors.value == ("jpeg_input",)
    assert set(panel.frame["curve"]) == set(names)


def test_what_is_doubtful_stands_before_what_is_left_out(
    rd_base: Path, rd_runs: list[Path], open_explorer: Any
) -> None:
    for _ in range(7):
        write_run(rd_base, 1e-3, losses=(), end=(130, "STOP file"))
    write_run(rd_base, 1e-2, 0.4, 0.5)
    panel = open_explorer()
    lines = re.findall("<li>(.*?)</li>", panel.judged.value)
    assert ["left out: " in line for line in lines] == [False] * (len(lines) - 7) + [True] * 7
    assert "is dominated by" in lines[0]
    assert " more</summary>" in panel.judged.value.split("left out: ")[0] or "left out: " in lines[5]


def test_a_sweep_shows_its_runs_and_what_it_lacks(rd_base: Path, rd_runs: list[Path], open_explorer: Any) -> None:
    config = rd_runs[0] / "config_used.yaml"
    sweep = new_sweep(config, load_config(config), [LAMBDAS[0], LAMBDAS[1], 1e-2], [0])
    write_sweep(rd_base, sweep)
    (rd_base / "sweeps" / "torn.yaml").write_text("{")
    panel = open_explorer()
    panel.choice.which.value = "of these sweeps"
    assert set(panel.choice.sweeps.value) == {sweep.id, "torn"}
    panel.finish()
    panel.raise_failures()
    assert run_names(panel) == {rd_runs[0].name, rd_runs[1].name}
    assert f"sweep {sweep.id}: lambda 1e-2, seed 0 is missing: no run of it was started" in panel.judged.value
    torn = rd_base / "sweeps" / "torn.yaml"
    assert f"sweep torn left out: {torn}: required the plan of a sweep, found something else" in panel.judged.value
    panel.choice.sweeps.value = (sweep.id,)
    panel.finish()
    assert "torn" not in panel.judged.value


def test_saving_writes_what_the_command_writes(rd_runs: list[Path], open_explorer: Any, tmp_path: Path) -> None:
    panel = open_explorer(dark=True)
    panel.axes.y.value = "map50"
    panel.saving.file.value = "out/rd.svg"
    click(panel.saving.button)
    panel.raise_failures()
    assert f"saved: {', '.join(f'out/rd.{end}' for end in ('svg', 'csv', 'json'))}" in panel.saving.said.value
    assert rd.main(["--y", "map50", "--output", str(tmp_path / "command" / "rd.svg")]) == 0
    for name in ("rd.svg", "rd.csv", "rd.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    assert pd.read_csv(tmp_path / "out" / "rd.csv")["map50"].tolist() == pytest.approx(panel.frame["map50"].tolist())


def test_a_file_that_is_there_is_replaced_only_when_asked(
    rd_runs: list[Path], open_explorer: Any, tmp_path: Path
) -> None:
    panel = open_explorer()
    (tmp_path / "rd.csv").write_text("mine")
    click(panel.saving.button)
    assert panel.saving.confirmation.asking
    assert "Replace rd.csv?" in panel.saving.confirmation.question.value
    click(panel.saving.confirmation.no)
    assert (tmp_path / "rd.csv").read_text() == "mine"
    click(panel.saving.button)
    click(panel.saving.confirmation.yes)
    panel.raise_failures()
    assert len(pd.read_csv(tmp_path / "rd.csv")) == 8


def test_a_wrong_file_is_said_in_place(rd_runs: list[Path], open_explorer: Any) -> None:
    panel = open_explorer()
    for name, message in (
        ("", "file: required the name of a figure, such as rd.png; found none"),
        ("home", "home: required the name of a figure, such as home/rd.png; found a folder"),
        ("rd.gif", "figure rd.gif: required the format png, pdf, svg; found gif"),
        ("/proc/nowhere/rd.png", "figure /proc/nowhere/rd.png: required a folder at /proc/nowhere, found: "),
        ("/proc/rd.png", "/proc/rd.png: could not be written: "),
    ):
        panel.saving.file.value = name
        click(panel.saving.button)
        panel.finish()
        assert str(panel.failures["save"]).startswith(message)
    panel.saving.file.value = "fine.png"
    click(panel.saving.button)
    panel.raise_failures()
    assert Path("fine.png").read_bytes().startswith(PNG)


def test_texts_from_files_are_escaped_and_every_control_has_a_label(
    rd_base: Path, rd_runs: list[Path], open_explorer: Any
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    write_run(rd_base, 1e-2, 0.6, 0.2, codec=evil)
    write_run(rd_base, 2e-2, 0.6, 0.2, dataset=evil, data_id="c" * 16)
    panel = open_explorer()
    panel.choice.which.value = "these"
    panel.comparison.against.value = evil
    panel.finish()
    panel.raise_failures()
    shown = [each.value for each in everything(panel) if isinstance(each, widgets.HTML)]
    assert sum("&lt;img" in text for text in shown) >= 4
    assert [text for text in shown if "<img src=x" in text] == []
    kinds = (widgets.Text, widgets.Dropdown, widgets.SelectMultiple, widgets.Button, widgets.Checkbox)
    controls = [each for each in everything(panel) if isinstance(each, kinds)]
    assert len(controls) >= 16
    assert [each for each in controls if not each.description and each is not panel.saving.confirmation.yes] == []
