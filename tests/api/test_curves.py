"""`fk.plot_metrics`, `fk.bits`, `fk.plot_bits`, and where things are."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import fpnkit as fk
from fpnkit.api.drawing import Drawing
from fpnkit.data.shapes import ShapesSet
from fpnkit.errors import ConfigError, RunError, UserError
from fpnkit.runs import layout
from tests.support import few_runs
from tests.support.curve_run import copy_run, trained_run

LEVELS = ["p2", "p3", "p4", "p5"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two runs of one detector on the same images, the second one newer; they differ in lambda, as far as one sees."""
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    first = copy_run(tmp_path / "checkpoints" / "fpn_compression")
    second = shutil.copytree(first, first.with_name("run_20991231_120000_lambda_2.00e-03_lr_1.00e-03_bs_2"))
    changed(second, name=second.name, created="2099-12-31T12:00:00+00:00")
    record = json.loads((second / layout.RUN_JSON).read_text())
    changed(second, config=record["config"] | {"lmbda": 2e-3})
    return [first, second]


def changed(run: Path, **facts: object) -> None:
    file = run / layout.RUN_JSON
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def test_what_training_logged_is_drawn(runs: list[Path]) -> None:
    drawing = fk.plot_metrics(runs, "bpp_estimated")
    assert drawing.ax.get_ylabel() == "bpp estimated"
    assert labels(drawing) == ["λ 1e-3", "λ 2e-3"]
    assert labels(fk.plot_metrics(fk.runs())) == ["λ 2e-3", "λ 1e-3"], "all, newest first"
    table = fk.runs()
    assert labels(fk.plot_metrics(table[table["lmbda"] < 2e-3], "loss")) == ["λ 1e-3"]
    assert labels(fk.plot_metrics([fk.run(runs[0]), runs[0].name], "loss")) == ["λ 1e-3"], "each once"


def test_equal_lambdas_are_told_apart_by_their_names(runs: list[Path]) -> None:
    record = json.loads((runs[0] / layout.RUN_JSON).read_text())
    changed(runs[1], config=record["config"])
    assert labels(fk.plot_metrics(runs)) == [layout.short_name(run.name) for run in runs]


def labels(drawing: Drawing) -> list[str]:
    legend = drawing.ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_a_number_that_nobody_logged_is_refused(runs: list[Path]) -> None:
    with pytest.raises(UserError) as error:
        fk.plot_metrics(runs, "map")
    known = ", ".join(key for key in fk.run(runs[0]).metrics() if key not in ("time", "split", "epoch", "step"))
    assert str(error.value) == f"plot_metrics: required one of {known}, found map"


def test_bits_of_each_level_are_those_of_the_bytes(runs: list[Path]) -> None:
    table = fk.bits(runs[:1], images=1, quality=2)
    run = fk.run(runs[0])
    pyramid = run.detector().pyramid(ShapesSet(2, 5)[0].image)
    whole = 8 * len(run.codec().encode(pyramid, quality=2)) / 192**2
    assert table["level"].tolist() == [*LEVELS, "shared"]
    assert whole * 0.8 < table["bpp"].sum() < whole, "payload without headers"
    assert table["bpp_all"].tolist() == pytest.approx([table["bpp"].sum()] * 5)
    middle = fk.bits([runs[0].name], images=1)
    assert middle["bpp"].sum() < table["bpp"].sum()


def test_bits_are_drawn_from_runs_or_from_their_table(runs: list[Path]) -> None:
    table = fk.bits(images=1)
    assert table["run"].nunique() == 2
    first, second = fk.plot_bits(table), fk.plot_bits(images=1)
    assert heights(first) == heights(second)
    assert sum(heights(first)) == pytest.approx(table["bpp"].sum())
    assert first.ax.get_title() == "one payload for all levels", "so that there are no shares"
    assert heights(fk.plot_bits(table, share=True)) == []


def heights(drawing: Drawing) -> list[float]:
    return [patch.get_height() for patch in drawing.ax.patches]


def test_runs_of_another_detector_or_other_images_are_left_out(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"1 of 2 runs left out: of another detector or other images than {runs[1].name}\n"
    changed(runs[0], detector_fingerprint="0" * 64)
    assert fk.bits(fk.runs(), images=1)["run"].unique().tolist() == [runs[1].name]
    assert capsys.readouterr().out == said
    shutil.copy(trained_run() / layout.RUN_JSON, runs[0])
    used = runs[0] / layout.CONFIG_USED
    used.write_text(used.read_text().replace("seed: 5", "seed: 6"))
    assert fk.bits(images=1)["run"].unique().tolist() == [runs[1].name], "the newer one"
    assert capsys.readouterr().out == said
    shutil.copytree(runs[0], runs[0].with_name("copy"))
    changed(runs[0].with_name("copy"), name="copy")
    assert set(fk.bits(images=1)["run"]) == {runs[0].name, "copy"}, "those that are more"
    assert capsys.readouterr().out.startswith("1 of 3 runs left out: ")


def test_bits_need_a_run_with_a_model(runs: list[Path]) -> None:
    for run in runs:
        (run / layout.BEST_MODEL).unlink()
    with pytest.raises(RunError) as error:
        fk.bits()
    assert str(error.value) == (
        f"runs: required at least one with a model, found none; fk.runs() lists those in {runs[0].parent}"
    )


def test_points_say_which_of_the_runs_that_were_named_are_left_out(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (runs[0] / layout.RUN_JSON).write_text("{")
    left_out = f"run {layout.short_name(runs[0].name)}: left out: incomplete (run.json: is not complete JSON)\n"
    assert fk.points(runs)["run"].tolist() == fk.points()["run"].tolist() == [runs[1].name]
    assert capsys.readouterr().out == left_out, "once: nobody asked the second time"


def test_places_and_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    assert (fk.home(), fk.base_dir()) == (tmp_path, tmp_path / "checkpoints" / "fpn_compression")
    config = fk.load_config(Path(__file__).parents[2] / "configs" / "example_sweep.yaml")
    assert (config.detector.kind, config.training.epochs) == ("shapes_fcos", 16)
    with pytest.raises(ConfigError) as error:
        fk.load_config(tmp_path / "gone.yaml")
    assert str(error.value) == f"{tmp_path}/gone.yaml: cannot be read: No such file or directory"


def test_example_images_are_those_of_the_built_in_set() -> None:
    assert torch.equal(fk.example_image(7), ShapesSet(3, 7)[0].image)
    assert not torch.equal(fk.example_image(), fk.example_image(1))


def test_an_error_is_its_message_in_a_notebook() -> None:
    assert ConfigError(["a.yaml:1: one", "a.yaml:2: two"])._render_traceback_() == [
        "ConfigError: a.yaml:1: one\na.yaml:2: two"
    ]


def test_voila_which_hides_errors_prints_the_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.11")
    error = UserError("BASE: there are no runs yet")
    (shown,) = error._render_traceback_()
    error._render_traceback_()
    assert capsys.readouterr().out == f"{shown}\n" == "UserError: BASE: there are no runs yet\n"


def test_who_has_no_run_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    few_runs.empty(tmp_path)
    none_yet = "python -m fpnkit.train --config CONFIG makes one, ExampleSweep() in a notebook a few"
    assert refused([]) == f"runs: required at least one, found none; there are no runs yet; {none_yet}"
    run = few_runs.training(tmp_path)
    name = layout.short_name(run.name)
    wait = f"still training: {name}; try again when a run has finished"
    assert refused(fk.runs("status == 'finished'")) == f"runs: required at least one, found none; {wait}"
    with pytest.raises(RunError) as error:
        fk.comparable()
    assert str(error.value) == f"runs: required at least one with a model, found none; {wait}"
    with pytest.raises(RunError) as error:
        fk.run(name).codec()
    wait = "it has not finished an epoch: try again when it has"
    assert str(error.value) == f"run {run}: required {layout.BEST_MODEL}, found none; {wait}"


def refused(runs: Any) -> str:
    with pytest.raises(RunError) as error:
        fk.plot_metrics(runs)
    return str(error.value)
