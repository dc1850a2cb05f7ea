"""What `python -m fpnkit.train` writes, says and refuses: real processes and files."""

import json
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from fpnkit.config.identity import loss_settings, settings_hash
from fpnkit.config.schema import ShapesDetector
from fpnkit.detectors.build import build_detector
from fpnkit.runs.record import read_record
from fpnkit.runs.settings import whole_settings
from tests.support.train_process import command, lines, only_run, status, train, write_config


def test_the_run_directory_is_the_last_line_and_what_was_learned_stands_before_it(finished: Path) -> None:
    *_, learned, last = (finished.parents[1] / "stdout").read_text().splitlines()
    assert last == str(finished)
    assert learned.startswith("best epoch ")
    assert " bpp estimated · SNR p2 " in learned


def test_a_run_directory_holds_every_file_of_the_contract(finished: Path) -> None:
    stamp = "_".join(finished.name.split("_")[1:3])
    assert finished.name == f"run_{stamp}_lambda_2.50e-04_lr_1.00e-03_bs_2"
    names = {path.name for path in finished.iterdir() if not path.name.startswith((".", "best_model_epoch_"))}
    assert names == {
        f"train_{stamp}.log",
        "config_used.yaml",
        "command_args.txt",
        "run.json",
        "metrics.jsonl",
        "best_model.pth",
        "last.pth",
        *(f"training_diagnostics_epoch_{epoch}.txt" for epoch in (1, 2, 3)),
        "env",
    }
    assert {path.name for path in (finished / "env").iterdir()} >= {"git.json", "packages.txt", "system.json"}
    record = json.loads((finished / "run.json").read_text())
    assert set(record) >= set(
        [
            "schema_version",
            "id",
            "name",
            "kind",
            "created",
            "pid",
            "pid_created",
            "host",
            "heartbeat",
            "heartbeat_seconds",
            "started",
            "ended",
            "exit_reason",
            "exit_code",
            "epoch",
            "epochs",
            "step",
            "config",
            "best",
            "last",
            "sweep",
            "resumed",
            "size_bytes",
        ]
    )
    assert set(record["config"]) == {"lmbda", "lr", "batch_size", "codec", "detector", "dataset", "seed"}
    assert (record["epoch"], record["epochs"], record["exit_code"]) == (3, 3, 0)
    assert record["best"]["file"] in {path.name for path in finished.iterdir()}
    for line in (finished / "metrics.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == set(
            [
                "time",
                "split",
                "epoch",
                "step",
                "loss",
                "bpp_estimated",
                "distortion",
                "aux_loss",
                "lr",
                "seconds",
                "snr_db",
                "bpp_level",
            ]
        )
    assert status(finished) == ("finished", None)


def test_config_used_alone_reproduces_the_run(finished: Path, tmp_path: Path) -> None:
    cold = command("--config", finished / "config_used.yaml", "--base-dir", tmp_path / "again")
    done = subprocess.run(cold, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    again = only_run(tmp_path / "again")
    assert lines(again) == lines(finished)
    assert (again / "config_used.yaml").read_text() == (finished / "config_used.yaml").read_text()


def test_the_log_says_everything_that_the_terminal_said(finished: Path) -> None:
    (log,) = finished.glob("train_*.log")
    text = log.read_text()
    for said in (
        "detector shapes_fcos: p2 64 channels",
        "features: feature cache",
        "can buy at most",
        f"run {finished}",
    ):
        assert said in text
    assert text.count("INFO epoch ") == 3
    assert "DEBUG step 4 (epoch 1): loss " in text


def test_secrets_of_the_command_line_and_the_environment_are_in_no_file(features: Path, tmp_path: Path) -> None:
    word = "emases"[::-1]  # not spelled out: a patch of uncommitted changes may hold this very file
    plugin = tmp_path / "lab-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[fpnkit.detectors]\nlab = lab:build\n")
    (tmp_path / "lab.py").write_text(
        "from fpnkit.config.schema import ShapesDetector\n"
        "from fpnkit.detectors.build import build_detector\n"
        "def build(options):\n"
        f"    assert options['api_key'] == '{word}-option'\n"
        "    return build_detector(ShapesDetector(kind='shapes_fcos'))\n"
    )
    options = f"{{api_key: {word}-option, token: [{word}-list], url: 'https://u:{word}-url@host/x'}}"
    config = write_config(tmp_path, features)
    done = train(
        *("--config", config, "--base-dir", tmp_path / "runs", "--epochs", 1),
        *("--set", f"detector={{kind: plugin, name: lab, options: {options}}}"),
        env={"PYTHONPATH": str(tmp_path), "LAB_TOKEN": f"{word}-variable", "FEATURES_SECRET_DIR": str(features)},
    )
    assert done.returncode == 0, done.stderr
    path = only_run(tmp_path / "runs")
    assert [file.name for file in path.rglob("*") if file.is_file() and word.encode() in file.read_bytes()] == []
    assert f"directory: {features}" in (path / "config_used.yaml").read_text()
    record = read_record(path)
    assert record.config.detector == "lab"
    assert record.settings_hash == settings_hash(loss_settings(whole_settings(path)))
    assert record.detector_fingerprint == build_detector(ShapesDetector(kind="shapes_fcos")).fingerprint()
    again = train("--resume", path, "--epochs", 2)
    assert again.returncode == 2
    lacking = "is a secret, which was not kept; required a plugin that reads it from elsewhere"
    assert again.stderr.splitlines() == [
        f"fpnkit.train: {path}/config_used.yaml: detector.options.api_key: {lacking}",
        f"{path}/config_used.yaml: detector.options.token: {lacking}",
        f"{path}/config_used.yaml: detector.options.url: {lacking}",
    ]


def test_a_lambda_that_can_only_collapse_is_warned_about(config: Path, tmp_path: Path) -> None:
    done = train("--config", config, "--base-dir", tmp_path / "runs", "--lambda", "1e-9", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert (
        "WARNING: lambda 1.00e-09 is too small: below 0.005 bpp the codec learns to send nothing "
        "(0 dB SNR on every level); use a larger loss.lambda or loss.distortion_scale"
    ) in done.stderr.splitlines()
    assert (
        done.stderr.splitlines()[-1]
        == f"dry run: everything is in order; a run would be created in {tmp_path / 'runs'}"
    )
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_opens_the_test_set_that_training_leaves_closed(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    gone = tmp_path / "gone"
    missing = f"data.test={{kind: folder, images: {gone}}}"
    few = ("--config", config, "--base-dir", tmp_path / "runs", "--epochs", 1, "--set", missing)
    dry = train(*few, "--dry-run")
    assert dry.returncode == 2
    assert dry.stderr.splitlines()[-1] == f"fpnkit.train: {gone}: required a folder of images, found nothing"
    assert train(*few).returncode == 0


def test_a_dry_run_leaves_nothing_behind_not_even_features(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    before = sorted(tmp_path.rglob("*"))
    done = train("--config", config, "--base-dir", tmp_path / "runs", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "0 of 8 images present, 8 to add (about " in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required --config FILE, or --resume RUN"),
        (["--config", "CONFIG", "--lambda", "0"], "--lambda 0: loss.lambda: required a number greater than 0, found 0"),
        (["--config", "CONFIG", "--set", "los.lambda=1"], "--set los.lambda=1: los: unknown key; did you mean loss?"),
        (
            ["--resume", "x", "--lambda", "1", "--config", "CONFIG"],
            "--resume takes every setting from the run but --epochs; found --lambda, --config",
        ),
        (
            ["--config", "CONFIG", "--base-dir", "CONFIG"],
            "base directory CONFIG: must be a directory, found the file CONFIG",
        ),
        (
            ["--config", "CONFIG", "--set", "training.device=cuda"],
            "training.device: required cuda, found only cpu",
        ),
        (
            [
                *("--config", "CONFIG", "--set", "loss.weights={p2: 1}", "--set", "training.crop=100"),
                *("--set", "codec.halvings={p2: 1}"),
            ],
            "codec.halvings: required the levels p2, p3, p4, p5; found p2\n"
            "loss.weights: required the levels p2, p3, p4, p5; found p2\n"
            "training.crop: required a multiple of the coarsest stride, 32 pixels; found 100",
        ),
        (
            ["--config", "CONFIG", "--set", "loss.weights={p2: 0}"],
            "--set loss.weights={p2: 0}: loss.weights: required at least one weight above 0, found none",
        ),
        (["--config", "CONFIG", "--base-dir", ""], "--base-dir: required a directory, found an empty name"),
        (
            ["--config", "CONFIG", "--set", "cache.directory=CONFIG/below"],
            "cache.directory CONFIG/below: required a directory, found the file CONFIG",
        ),
        (
            ["--config", "CONFIG", "--set", "detector.weights=CODE.pth"],
            "CODE.pth: required a file of tensors; it is a pickle with code or objects in it, which is "
            "refused; nothing of it was executed. Save only the module's state_dict()",
        ),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2_and_leaves_no_run(
    config: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    if "cuda" in message and torch.cuda.is_available():
        pytest.skip("there is a GPU")

    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    (tmp_path / "code.pth").write_bytes(pickle.dumps({"weight": Code()}))
    places = {"CONFIG": str(config), "CODE.pth": str(tmp_path / "code.pth")}
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
        message = message.replace(name, place)
    done = train(*arguments, cwd=tmp_path)
    assert done.stderr.endswith(f"fpnkit.train: {message}\n")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.rglob("run_*"))
    assert not (tmp_path / "executed").exists()
