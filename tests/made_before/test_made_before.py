"""Runs, evaluations, anchors and files made by an earlier fpnkit still work; `commands` in expected.json made them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from fpnkit import evaluate, rd, train
from fpnkit.bitstream.__main__ import main as bitstream
from fpnkit.plots.rd import plot_rd
from fpnkit.ratedist.table import frame, read_points
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.results import read_summary
from fpnkit.runs.store import list_runs

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
STOPPED = "run_20261126_150111_lambda_1.00e-03_lr_1.00e-02_bs_4"
MEASURED = ("bpp", "bpp_estimated", "bpp_gap", "kb_per_image", "map", "map50", "self_map", "share_of_ceiling", "loss")
LISTED = (
    *("name", "status", "reason", "kind", "epoch", "epochs", "lmbda", "lr", "batch_size", "codec", "detector"),
    *("dataset", "seed", "best_loss", "best_epoch", "bpp_estimated", "bpp", "map", "duration_seconds", "size_bytes"),
    *("note", "sweep", "host"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be changed."""
    shutil.copytree(HERE / "home", tmp_path / "home")
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def runs(home: Path) -> Path:
    return home / "checkpoints" / "fpn_compression"


@pytest.mark.parametrize(("folder", "expected"), [("fpn_compression", "codecs"), ("detection", "detectors")])
def test_they_are_listed_as_they_were(home: Path, folder: str, expected: str) -> None:
    listed = {run.name: run for run in list_runs(home / "checkpoints" / folder)}
    assert listed.keys() == {row["name"] for row in EXPECTED["runs"][expected]}
    for row in EXPECTED["runs"][expected]:
        found = {key: getattr(listed[row["name"]], key) for key in LISTED}
        assert found == {key: row[key] for key in LISTED}


def test_their_points_curves_and_figure_are_the_same(home: Path, tmp_path: Path) -> None:
    (tmp_path / "before.csv").write_text("\n".join(EXPECTED["rd"]["csv"]) + "\n")
    before = pd.read_csv(tmp_path / "before.csv")
    points = read_points([run.path for run in list_runs(runs(home)) if run.path.is_dir()])
    now = frame(points)
    key = ["curve", "lmbda", "quality"]
    merged = before.merge(now, on=key, how="outer", suffixes=("_before", "_now"), indicator=True)
    assert set(merged["_merge"]) == {"both"}
    for column in MEASURED:
        pd.testing.assert_series_equal(
            merged[f"{column}_before"], merged[f"{column}_now"], check_names=False, check_dtype=False, rtol=1e-12
        )
    assert len(plot_rd(points).get_lines()) > 0


def test_the_bd_rate_is_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rd.main(["--base-dir", str(runs(home)), "--bd", "jpeg_input"]) == 0
    output = capsys.readouterr().out
    (line,) = [text for text in output.splitlines() if "-42.0" in text]
    assert line.split()[:3] == ["factorized", "#1", "-42.0"]


def test_their_files_are_decoded_and_coding_again_gives_the_same_bytes(home: Path, tmp_path: Path) -> None:
    run, out = str(runs(home) / STOPPED), tmp_path / "out"
    files = [str(HERE / "bitstreams" / f"{name}.fpn") for name in EXPECTED["bitstreams"]]
    assert bitstream(["decode", run, *files, "-o", str(out)]) == 0
    for name, expected in EXPECTED["bitstreams"].items():
        levels = load_file(out / f"{name}.safetensors")
        assert levels.keys() == expected["levels"].keys()
        for level, facts in expected["levels"].items():
            values = levels[level]
            assert list(values.shape) == facts["shape"]
            samples = values.flatten()[::61][: len(facts["every_61st"])]
            assert torch.allclose(samples, torch.tensor(facts["every_61st"]), atol=1e-4 * facts["deviation"] + 1e-6)
    pictures = [str(HERE / "bitstreams" / f"{name}.png") for name in EXPECTED["bitstreams"]]
    assert bitstream(["encode", run, *pictures, "-o", str(out)]) == 0
    for name in EXPECTED["bitstreams"]:
        assert (out / f"{name}.fpn").read_bytes() == (HERE / "bitstreams" / f"{name}.fpn").read_bytes()


def test_a_model_is_evaluated_with_the_same_result(home: Path) -> None:
    assert evaluate.main([str(runs(home) / STOPPED)]) == 0
    expected = EXPECTED["evaluate"]["stopped"]
    summary = read_summary(runs(home) / STOPPED / expected["directory"])
    for key in ("data_id", "detector_id", "pixels"):
        assert getattr(summary, key) == expected["summary"][key], key
    for key in ("bpp", "bpp_estimated", "bpp_header", "map", "map50", "self_map"):
        assert getattr(summary, key) == pytest.approx(expected["summary"][key], rel=1e-6), key
    assert summary.bpp_level == pytest.approx(expected["summary"]["bpp_level"], rel=1e-12)


def test_a_stopped_run_is_resumed_to_what_the_uninterrupted_one_gave(home: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = runs(home) / STOPPED / "config_used.yaml"
    uncached = config.read_text()
    config.write_text(uncached.replace("  directory: null\n  budget_gb: 0.0", f"  directory: {tmp_path / 'features'}"))
    assert config.read_text() != uncached  # where features are kept may change; computing them each time takes long
    assert train.main(["--resume", str(runs(home) / STOPPED)]) == 0
    found = [line for line in read_metrics(runs(home) / STOPPED / "metrics.jsonl") if line.split == "val"]
    before = EXPECTED["uninterrupted"]["validation"]
    assert [(line.epoch, line.step) for line in found] == [(line["epoch"], line["step"]) for line in before]
    assert [line.loss for line in found] == pytest.approx([line["loss"] for line in before], rel=1e-4)
    assert [line.bpp_estimated for line in found] == pytest.approx([line["bpp_estimated"] for line in before], rel=1e-4)
