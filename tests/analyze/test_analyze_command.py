"""`python -m fpnkit.analyze` on a run that was really trained."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from fpnkit.analysis.parts import read_table
from fpnkit.analyze import main
from fpnkit.codecs.saved import load_codec
from tests.support import warm
from tests.support.analyze_files import assert_complete, command, shown_images

LEVELS = ["p2", "p3", "p4", "p5"]  # P6 follows from P5 and is not coded


@pytest.fixture(scope="module")
def analyzed(trained: Path) -> Path:
    """The page of an analysis with everything."""
    output = trained.parents[1] / "analysis"
    assert main([str(trained), "--images", "2", "--sensitivity", "--output", str(output)]) == 0
    return output / "index.html"


def test_the_page_shows_every_figure_and_needs_nothing_else(analyzed: Path, trained: Path) -> None:
    assert_complete(analyzed)
    text = analyzed.read_text()
    assert "http" not in text
    assert "<script" not in text
    for fact in (str(trained), "shapes_fcos", "factorized, lambda 2.50e-04", "bpp of payload", "self-mAP"):
        assert fact in text
    assert text.count("<figcaption><b>") == len(shown_images(analyzed))
    first = shown_images(analyzed)[:3]
    assert first == ["bits_per_level", "bits_per_channel", "latent_histogram"]
    assert {f"mosaic_{level}" for level in LEVELS} <= set(shown_images(analyzed))


def test_the_bits_are_those_of_the_streams_and_add_up(analyzed: Path, trained: Path) -> None:
    from fpnkit.analysis.subject import build_bench
    from fpnkit.config.load import load_config

    bits = pd.read_csv(analyzed.parent / "bits_per_level.csv")
    codec = load_codec(trained / "best_model.pth").codec
    bench = build_bench(load_config(trained / "config_used.yaml"), "val", 2)  # type: ignore[arg-type]
    for index, (_, rows) in zip(bench.indices, bits.groupby("image", sort=False), strict=True):
        features = bench.cached(index)
        streams = codec.encode(features.pyramid, features.geometry)
        coded = streams.bits_level()
        assert rows.set_index("level")["payload_bits"].to_dict() == coded
        assert rows.set_index("level")["estimated_bits"].to_dict() == pytest.approx(dict(streams.bits_estimated))
    channels = pd.read_csv(analyzed.parent / "bits_per_channel.csv")
    assert channels["bits"].sum() == pytest.approx(bits["estimated_bits"].sum())
    shown = read_table(analyzed.parent / "tables", "shown").iloc[0]
    spent = pd.read_csv(analyzed.parent / "bits_map_1.csv")["bits"].sum()
    assert spent == pytest.approx(bits.loc[bits["image"] == shown["image"], "estimated_bits"].sum(), rel=1e-3)


def test_the_sensitivity_ends_in_weights_for_a_config(analyzed: Path) -> None:
    text = (analyzed.parent / "suggested_weights.yaml").read_text()
    assert text in analyzed.read_text()
    weights = yaml.safe_load(text)["loss"]["weights"]
    assert list(weights) == LEVELS
    assert sum(weights.values()) == pytest.approx(1)
    table = pd.read_csv(analyzed.parent / "sensitivity.csv")
    assert table.groupby("level").size().to_dict() == dict.fromkeys(LEVELS, 6)
    clean = table[table["snr_db"] == float("inf")]
    assert clean["self_map"].tolist() == pytest.approx([1.0] * 4)


def test_what_is_there_is_used_again_until_the_checkpoint_changes(run: Path) -> None:
    output = run / "fpn_analysis" / "lambda_2.50e-04"
    for name in ("old.json", "old.png", "old.pdf", "old.csv"):
        (output / name).write_text('{"figure": "old"}')
    (output / "notes.json").write_text('{"mine": 1}')

    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (output / "tables").glob("*.csv")}

    first = times()
    assert len(first) > 10
    (output / "tables" / "boxes_1.csv").unlink()  # computed again with its part, and no more
    assert main([str(run), "--images", "1", "--small", "--dark"]) == 0
    second = times()
    assert {name for name, value in second.items() if first[name] != value} == {
        *("shown.csv", "boxes_1.csv", "bits_map_1.csv", "energy_map_1.csv")
    }
    assert "color-scheme: dark" in (output / "index.html").read_text()
    assert list(output.glob("old.*")) == []  # of an earlier checkpoint, say
    assert (output / "notes.json").exists()
    content = torch.load(run / "best_model.pth", weights_only=True)
    content["state_dict"]["levels.p2.synthesis.0.bias"] += 0.1
    torch.save(content, run / "best_model.pth")
    assert main([str(run), "--images", "1", "--small"]) == 0
    third = times()
    assert [name for name, value in second.items() if third[name] == value] == []
    assert_complete(output / "index.html", small=True)


def test_an_interrupted_analysis_goes_on_where_it_stopped(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = run.parent / "out"
    arguments = (str(run), "--images", "2", "--small", "--output", str(output))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = warm.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, env=environment)
    marks = output / "tables" / "parts.json"
    while not marks.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 130, told
    assert told.splitlines()[-1] == "fpnkit.analyze: interrupted; the same command goes on where it stopped"
    assert not (output / "index.html").exists()
    with caplog.at_level("INFO"):
        assert main(arguments) == 0
    assert "codec: tables already exist" in caplog.messages
    assert_complete(output / "index.html", small=True)


def test_several_runs_are_compared(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(run.parents[1]))
    other = run.with_name("run_20260101_000000_lambda_9.00e-04_lr_1.00e-03_bs_2")
    shutil.copytree(run, other)
    assert main([str(run), str(other), "--images", "1", "--small"]) == 0
    (page,) = (run.parents[1] / "checkpoints" / "analysis").glob("*/index.html")
    assert_complete(page)
    rates = pd.read_csv(page.parent / "bits_per_level.csv")
    assert set(rates["run"]) == {run.name, other.name}
    assert rates.groupby("run")["bpp"].sum().tolist() == pytest.approx(rates.groupby("run")["bpp_all"].first().tolist())
    for each in (run, other):
        assert_complete(each / "fpn_analysis" / "lambda_2.50e-04" / "index.html", small=True)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("fpnkit.analyze: ").removesuffix("\n")


def test_a_run_without_a_usable_checkpoint_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = run / "best_model.pth"
    best.write_bytes(best.read_bytes()[:1000])
    assert refusal(capsys, run) == f"{best}: required a weight file of torch's; it is none, or is torn"
    best.unlink()
    assert refusal(capsys, run) == f"run {run}: required best_model.pth, found none; it has not finished an epoch"


def test_wrong_arguments_are_refused_before_anything_is_loaded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, run, "--images", 0) == "--images: required at least 1, found 0"
    file = run / "run.json"
    assert refusal(capsys, run, "--output", file) == f"--output {file}: required a directory, found the file {file}"
    assert refusal(capsys, run, "--set", "loss.lambda=1") == (
        "--set loss.lambda: required a key of data, detector, cache; the rest belongs to the run"
    )
    assert refusal(capsys, run, "--split", "test") == (
        "data.test: required the images of --split test, found none; --set data.test.kind=… adds them"
    )
    missing = run.parent / "no_images"
    assert refusal(capsys, run, "--set", f"data.val={{kind: folder, images: {missing}}}") == (
        f"{missing}: required a folder of images, found nothing"
    )


def test_another_detector_than_the_codecs_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, run, "--set", "detector.weights=null")
    assert told.startswith(f"run {run}: required the detector it was trained with (fingerprint ")
    assert told.endswith(")")
    assert "found another one (shapes_fcos, " in told


def test_runs_on_different_images_are_not_compared(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run.with_name("other")
    shutil.copytree(run, other)
    config = (other / "config_used.yaml").read_text()
    (other / "config_used.yaml").write_text(config.replace("images: 2\n", "images: 3\n"))
    told = refusal(capsys, run, other, "--images", 2)
    assert told.startswith("runs to compare: required one detector and the same images, found shapes_fcos (")
    assert told.endswith(f" in {other.name}")


def test_images_without_labels_have_no_map_but_everything_else(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (96, 64), (90, 120, 30)).save(folder / "plain.png")  # nothing to detect, either
    output = tmp_path / "out"
    data = f"data.val={{kind: folder, images: {folder}}}"
    assert main([str(run), "--set", data, "--output", str(output), "--small"]) == 0
    assert_complete(output / "index.html", small=True)
    assert "<th>mAP" not in (output / "index.html").read_text()
    assert pd.read_csv(output / "tables" / "task.csv")["map"].isna().all()
