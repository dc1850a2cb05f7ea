"""`python -m fpnkit.train` as its user types it: real processes, signals and files."""

import json
import os
import pickle
import resource
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
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required --config FILE, or --resume RUN"),
        (["--config", "CONFIG", "--lambda", "0"], "--lambda 0: loss.lambda: required a number greater than 0, found 0"),
        (["--config", "CONFIG", "--set", "los.lambda=1"], "--set los.lambda=1: los: unknown key; did you mean loss?"),
        (
            ["--resume", "x", "--lambda", "1", "--config", "CONFIG"],
            "--resume takes every setting from the run; required no other, found --lambda, --config",
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
            ["--config", "CONFIG", "--set", "loss.weights={p2: 1}"],
            "loss.weights: required the levels p2, p3, p4, p5; found p2",
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
    assert done.stderr.splitlines()[-1] == f"fpnkit.train: {message}"
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.rglob("run_*"))
    assert not (tmp_path / "executed").exists()
