"""How a training ends and goes on: real processes, signals and full disks."""

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch

from tests.support import warm
from tests.support.train_process import lines, only_run, start, status, train, wait_for_lines, write_config


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


def as_if_killed(path: Path) -> None:
    """Its process is gone, and its record says neither how it ended nor what it did last."""
    record = json.loads((path / "run.json").read_text())
    record |= {"ended": None, "exit_reason": None, "exit_code": None, "epoch": 1, "step": 1}
    (path / "run.json").write_text(json.dumps(record))
    assert status(path)[0] == "killed"


def steps(path: Path) -> tuple[int, int]:
    record = json.loads((path / "run.json").read_text())
    return record["epoch"], record["step"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [([], None), (["--lr", "1e-30", "--set", "training.patience=1", "--epochs", "4"], "early stop")],
)
def test_a_run_that_was_killed_behind_its_last_save_ends_as_if_it_had_not_been(
    more: list[str], reason: str | None, config: Path, tmp_path: Path
) -> None:
    whole = train("--config", config, "--base-dir", tmp_path / "runs", *more)
    path = only_run(tmp_path / "runs")
    assert status(path) == ("finished", reason)
    before = lines(path), (path / "best_model.pth").read_bytes(), steps(path)
    as_if_killed(path)
    done = train("--resume", path)
    assert (done.returncode, done.stdout) == (0, whole.stdout), done.stderr
    assert status(path) == ("finished", reason)
    assert (lines(path), (path / "best_model.pth").read_bytes(), steps(path)) == before


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


@pytest.mark.usefixtures("heard_hang_ups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
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
    limited = (
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({before // 2}, {before // 2}))\n"
        "runpy.run_module('fpnkit.train', run_name='__main__', alter_sys=True)"
    )
    arguments = ["--config", str(config), "--base-dir", str(tmp_path / "full")]
    done = warm.run([sys.executable, "-W", "ignore", "-c", limited, *arguments])
    path = only_run(tmp_path / "full")
    assert done.returncode == 1
    assert f"{path}/last.pth: could not be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(path.glob(".*tmp"))
    assert status(path) == ("crashed", f"{path}/last.pth: could not be written: File too large")
