"""What `python -m fpnkit.evaluate` writes, says and refuses: real runs, streams and processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fpnkit import evaluate
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.build import build_detector
from fpnkit.runs import __main__ as listing
from fpnkit.runs.results import read_images, read_summary
from tests.support import warm


def results(run_dir: Path) -> Path:
    (directory,) = run_dir.glob("evaluation/shapes*/*")
    return directory


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert evaluate.main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.strip()


def test_the_summary_has_every_key_of_the_contract(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([run_dir.name]) == 0
    summary = json.loads((results(run_dir) / "summary.json").read_text())
    assert set(summary) >= set(
        [
            "schema_version",
            "run",
            "checkpoint",
            "dataset",
            "detector",
            "codec",
            "lmbda",
            "quality",
            "images",
            "pixels",
            "bpp",
            "bpp_estimated",
            "bpp_level",
            "kb_per_image",
            "snr_db",
            "map",
            "map50",
            "self_map",
            "ceiling",
            "map_interval",
            "encode_seconds",
            "decode_seconds",
            "peak_memory_mb",
            "commit",
        ]
    )
    rows = read_images(results(run_dir))
    assert [row.bytes for row in rows] == [
        (results(run_dir) / "streams" / f"{row.image}.fpn").stat().st_size for row in rows
    ]
    assert summary["bpp"] == pytest.approx(8 * sum(row.bytes for row in rows) / (5 * 192 * 192))
    assert summary["bpp"] == pytest.approx(summary["bpp_header"] + sum(summary["bpp_level"].values()))
    assert summary["flagged_images"] == 0
    assert summary["ceiling"]["map"] > 0.2
    assert (summary["codec"], summary["run"], summary["lmbda"]) == ("factorized", run_dir.name, 2.5e-4)
    said = capsys.readouterr().out
    assert f"{run_dir.name} on {summary['dataset']} (5 images): {results(run_dir)}\n" in said
    assert said.endswith("\n  fewer than 20 images: no interval\n")
    assert (summary["map_interval"], summary["self_map_interval"]) == (None, None)


def test_the_list_of_runs_shows_bpp_and_map(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([run_dir.name]) == 0
    capsys.readouterr()
    assert listing.main(["--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    summary = json.loads((results(run_dir) / "summary.json").read_text())
    assert (row["bpp"], row["map"]) == (summary["bpp"], summary["map"])


def test_killed_in_the_middle_it_goes_on_to_the_same_result(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "fpnkit.evaluate", run_dir.name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = warm.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while not list(run_dir.glob("evaluation/*/*/images.jsonl")) or len(read_images(results(run_dir))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = (results(run_dir) / "images.jsonl").read_text().splitlines(keepends=True)
    assert evaluate.main([run_dir.name]) == 0
    rows = (results(run_dir) / "images.jsonl").read_text().splitlines(keepends=True)
    assert rows[:2] == done[:2]  # their clock fields show that they were not measured again
    assert len(rows) == 5


def test_a_result_from_before_matchings_were_kept_is_not_measured_again(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([run_dir.name]) == 0
    first = capsys.readouterr().out
    file = results(run_dir) / "summary.json"
    content = json.loads(file.read_text())
    assert content.pop("labels")["by"] == "name"
    file.write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert evaluate.main([run_dir.name]) == 0
    assert capsys.readouterr().out == first
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_a_run_named_twice_is_evaluated_once(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([run_dir.name, str(run_dir)]) == 0
    assert len(read_images(results(run_dir))) == 5
    assert capsys.readouterr().out.count(f"{run_dir.name} on ") == 1


def test_other_data_has_a_directory_of_its_own(run_dir: Path) -> None:
    assert evaluate.main([run_dir.name]) == 0
    assert evaluate.main([run_dir.name, "--set", "data.test.images=3", "--set", "data.test.seed=8"]) == 0
    assert len(list(run_dir.glob("evaluation/*/*/summary.json"))) == 2


def test_wrong_input_is_said(run_dir: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = run_dir.parent
    assert refused(capsys, "nothing") == (
        f"fpnkit.evaluate: run 'nothing': no run in {base} has this in its name; did you mean {run_dir.name!r}?"
    )
    assert refused(capsys, run_dir.name, "--set", "loss.lambda=3") == (
        "fpnkit.evaluate: --set loss.lambda: required a key of data, detector; the rest belongs to the run"
    )
    assert refused(capsys, run_dir.name, "--set", "training.device=cuda") == (
        "fpnkit.evaluate: --set training.device: required a key of data, detector; the rest belongs to the run"
    )
    assert not (run_dir / "evaluation").exists()


def test_a_run_without_a_model_is_refused(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir / "best_model.pth").unlink()
    assert refused(capsys, run_dir.name) == (
        f"fpnkit.evaluate: run {run_dir}: required best_model.pth, found none; it has not finished an epoch"
    )


def test_a_run_without_test_images_is_refused(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, run_dir.name, "--set", "data.test=null") == (
        "fpnkit.evaluate: data.test: required the images to evaluate on, found none; --set data.test.kind=… adds them"
    )


def test_a_dry_run_opens_model_and_images_and_measures_nothing(
    run_dir: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(home.rglob("*"))
    assert evaluate.main([run_dir.name, "--dry-run", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    gone = home / "gone"
    folder = f"data.test={{kind: folder, images: {gone}}}"
    told = f"fpnkit.evaluate: {gone}: required a folder of images, found nothing"
    assert refused(capsys, run_dir.name, "--dry-run", "--set", folder) == told
    assert sorted(home.rglob("*")) == before


def test_another_detector_than_the_run_was_trained_with_is_refused(
    run_dir: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = build_detector(ShapesDetector(kind="shapes_fcos")).module  # type: ignore[attr-defined]
    other = home / "other.pth"
    state = {name: tensor + 1e-3 for name, tensor in module.state_dict().items()}
    categories = [[category.id, category.name] for category in ShapesSet(1, 0).categories]
    torch.save({"state_dict": state, "categories": categories}, other)
    message = refused(capsys, run_dir.name, "--set", f"detector.weights={other}")
    assert refused(capsys, run_dir.name, "--set", f"detector.weights={other}", "--dry-run") == message
    pattern = (
        rf"fpnkit\.evaluate: run {re.escape(str(run_dir))}: required the detector it was trained with "
        r"\(fingerprint [0-9a-f]{8}\), found another one \(shapes_fcos, [0-9a-f]{8}\)"
    )
    assert re.fullmatch(pattern, message)


def test_what_is_said_of_masks(run_dir: Path, tmp_path: Path) -> None:
    """Between mAP and self-mAP, where they were scored."""
    assert evaluate.main([run_dir.name]) == 0
    without = read_summary(results(run_dir))
    assert "mask mAP" not in evaluate._describe(tmp_path, without)
    ceiling = replace(without.ceiling, mask_map=0.4)
    scored = replace(
        without, mask_map=0.3, mask_map_interval=(0.28, 0.321), mask_share_of_ceiling=0.75, ceiling=ceiling
    )
    lines = evaluate._describe(tmp_path, scored).splitlines()
    (place,) = [number for number, line in enumerate(lines) if "mask mAP" in line]
    assert lines[place] == "  mask mAP  30.0 [28.0, 32.1]; ceiling 40.0, 75.0 % of it"
    assert lines[place - 1].startswith("  mAP  ")
    assert lines[place + 1].startswith("  self-mAP  ")
