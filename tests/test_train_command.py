"""`python -m fpnkit.train` as its user types it: real processes, signals and files."""

import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from fpnkit.runs.metrics import read_metrics

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 10}
  val: {kind: holdout, images: 2}
cache: {directory: FEATURES}
codec: {channels: 8, latent_channels: 8}
loss: {lambda: 2.5e-4}
training: {epochs: 3, batch_size: 2, lr: 1e-3, crop: 64, log_every: 2, crops_per_image: CROPS, device: cpu}
"""


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def config(tmp_path: Path, features: Path) -> Path:
    return write_config(tmp_path, features)


def write_config(folder: Path, features: Path, crops: int = 1) -> Path:
    path = folder / "config.yaml"
    path.write_text(CONFIG.replace("FEATURES", str(features)).replace("CROPS", str(crops)))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "fpnkit.train", *map(str, arguments)]


def train(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, timeout=300, **options)


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def only_run(base_dir: Path) -> Path:
    (path,) = (path for path in base_dir.iterdir() if path.name.startswith("run_"))
    return path


def wait_for_lines(base_dir: Path, count: int) -> Path:
    """The run directory, once `count` lines of metrics stand in it."""
    for _ in range(1200):
        for metrics in base_dir.glob("run_*/metrics.jsonl"):
            if len(metrics.read_text().splitlines()) >= count:
                return metrics.parent
        time.sleep(0.1)
    raise AssertionError("no metrics appeared")


def lines(path: Path) -> list[dict[str, Any]]:
    timing = ("time", "seconds")
    return [
        {k: v for k, v in line.to_dict().items() if k not in timing} for line in read_metrics(path / "metrics.jsonl")
    ]


def status(path: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "fpnkit.runs", "--base-dir", str(path.parent), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = (row for row in json.loads(done.stdout) if row["name"] == path.name)
    return row["status"], row["reason"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """One whole run; its output is kept beside it."""
    folder = tmp_path_factory.mktemp("finished")
    base_dir = folder / "runs"
    done = train("--config", write_config(folder, features), "--base-dir", base_dir, "--set", "training.keep_best=1")
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return only_run(base_dir)


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
    done = train("--config", finished / "config_used.yaml", "--base-dir", tmp_path / "again")
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


def test_a_finished_run_trains_on_with_more_epochs_and_its_config_follows(features: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, features)
    first = train("--config", config, "--base-dir", tmp_path / "runs", "--epochs", 1)
    path = only_run(tmp_path / "runs")
    refused = train("--resume", path)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"fpnkit.train: run {path}: required epochs left to train, found 1 done; --epochs N trains up to N\n"
    )
    done = train("--resume", path, "--epochs", 2)
    assert (first.returncode, done.returncode) == (0, 0), done.stderr
    assert "  epochs: 2\n" in (path / "config_used.yaml").read_text()
    record = json.loads((path / "run.json").read_text())
    assert (record["epoch"], record["epochs"]) == (2, 2)


def test_a_config_that_was_edited_into_another_run_is_not_resumed(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    file = copy / "config_used.yaml"
    text = file.read_text().replace("lambda: 0.00025", "lambda: 0.01").replace("channels: 8", "channels: 16", 1)
    file.write_text(text)
    before = (copy / "run.json").read_bytes()
    done = train("--resume", copy, "--epochs", 9)
    assert done.returncode == 2
    assert done.stderr == (
        f"fpnkit.train: {file}: codec.channels: required 8 as in the run so far, found 16\n"
        f"{file}: loss.lambda: required 0.00025 as in the run so far, found 0.01\n"
    )
    assert (copy / "run.json").read_bytes() == before


def test_a_diverging_run_says_step_and_level_in_its_log_and_exits_1(config: Path, tmp_path: Path) -> None:
    done = train(
        "--config", config, "--base-dir", tmp_path / "runs", "--lr", "1e6", "--set", "training.schedule=constant"
    )
    path = only_run(tmp_path / "runs")
    assert done.returncode == 1
    assert done.stdout == f"{path}\n"
    assert status(path) == ("crashed", "diverged")
    (log,) = path.glob("train_*.log")
    error = next(line for line in log.read_text().splitlines() if " ERROR " in line)
    assert "diverged at step " in error
    assert error.split(" ERROR ")[1] in done.stderr


def test_a_training_outlives_the_pipe_that_its_output_went_to(config: Path, tmp_path: Path) -> None:
    process = start("--config", config, "--base-dir", tmp_path / "runs")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    path = only_run(tmp_path / "runs")
    assert status(path) == ("finished", None)
    (log,) = path.glob("train_*.log")
    assert log.read_text().count("INFO epoch ") == 3


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
    again = train("--resume", path, "--epochs", 2)
    assert again.returncode == 2
    lacking = "is a secret, which was not kept; required a plugin that reads it from elsewhere"
    assert again.stderr.splitlines() == [
        f"fpnkit.train: {path}/config_used.yaml: detector.options.api_key: {lacking}",
        f"{path}/config_used.yaml: detector.options.token: {lacking}",
        f"{path}/config_used.yaml: detector.options.url: {lacking}",
    ]


def test_killed_and_resumed_equals_uninterrupted(finished: Path, config: Path, tmp_path: Path) -> None:
    process = start("--config", config, "--base-dir", tmp_path / "runs", "--set", "training.keep_best=1")
    path = wait_for_lines(tmp_path / "runs", 4)
    process.kill()
    process.communicate()
    logged = (path / "metrics.jsonl").read_bytes()
    assert status(path)[0] in ("killed", "finished")
    done = train("--resume", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(path)
    assert (path / "metrics.jsonl").read_bytes().startswith(logged)
    assert lines(path) == lines(finished)
    own, other = (torch.load(run / "last.pth", weights_only=True)["learner"]["codec"] for run in (path, finished))
    assert all(torch.equal(own[key], other[key]) for key in other)
    assert status(path)[0] == "finished"
    assert len(list(path.glob("train_*.log"))) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_saves_and_exits_130(number: signal.Signals, features: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, features, crops=500)
    process = start("--config", config, "--base-dir", tmp_path / "runs")
    path = wait_for_lines(tmp_path / "runs", 2)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout.splitlines()[-1] == str(path)
    assert status(path) == ("stopped", number.name)
    step = torch.load(path / "last.pth", weights_only=True)["progress"]["step"]
    assert f"stopped by {number.name} after step {step}; to go on: python -m fpnkit.train --resume {path}" in stderr


def test_a_running_run_is_not_resumed_and_a_stop_file_stops_it(features: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, features, crops=500)
    process = start("--config", config, "--base-dir", tmp_path / "runs")
    path = wait_for_lines(tmp_path / "runs", 2)
    assert status(path) == ("running", None)
    second = train("--resume", path)
    assert second.returncode == 2
    record = json.loads((path / "run.json").read_text())
    assert second.stderr.splitlines()[-1] == (
        f"fpnkit.train: {path}: is running as process {process.pid} on {record['host']} since {record['started']}"
    )
    (path / "STOP").touch()
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert status(path) == ("stopped", "STOP file")


def test_a_full_disk_while_saving_leaves_the_old_checkpoint_whole(finished: Path, config: Path, tmp_path: Path) -> None:
    base_dir = tmp_path / "runs"
    first = train("--config", config, "--base-dir", base_dir, "--epochs", 1)
    assert first.returncode == 0, first.stderr
    before = (only_run(base_dir) / "last.pth").stat().st_size
    limit = before // 2

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = train("--config", config, "--base-dir", tmp_path / "full", preexec_fn=limited)
    path = only_run(tmp_path / "full")
    assert done.returncode == 1
    assert f"{path}/last.pth: could not be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(path.glob(".*tmp"))
    assert status(path) == ("crashed", f"{path}/last.pth: could not be written: File too large")


def test_a_lambda_that_can_only_collapse_is_warned_about(config: Path, tmp_path: Path) -> None:
    done = train("--config", config, "--base-dir", tmp_path / "runs", "--lambda", "1e-9", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert (
        "WARNING: lambda 1.00e-09 is too small: below 0.005 bpp the codec learns to send nothing "
        "(0 dB SNR on every level); use a larger loss.lambda or loss.distortion_scale"
    ) in done.stderr.splitlines()
    assert done.stderr.splitlines()[-1] == f"dry run: everything is in order; a run would go to {tmp_path / 'runs'}"
    assert not (tmp_path / "runs").exists()


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
            ["--config", "CONFIG", "--set", "loss.weights={p2: 1}", "--set", "training.crop=100"],
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
