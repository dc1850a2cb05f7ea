"""Checkpoints from a stranger: whatever was done to one, it is refused or it works, and no code in it runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fpnkit.runs import layout
from tests.support import ROOT
from tests.support.effort import Effort, sizes
from tests.support.fault_config import MODULES, base_dir, runs, write_config
from tests.support.forks import Command, Forks
from tests.support.hostile import changed

MOST_KILOBYTES = 200_000
MOST_SECONDS = 5.0


@sizes("best_model.pth", sample=50, long=5000)
def test_a_changed_model_is_refused_or_codes(effort: Effort, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_PERTURB_": "165"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.hostile_models", str(tmp_path)]
    command += [str(effort.size), str(effort.seed), *([] if effort.seconds is None else [str(effort.seconds)])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    effort.counted.update(told["results"])
    assert told["faults"] == {}, done.stderr
    assert told["results"]["refused"] > effort.size / 2
    assert told["results"]["codes with other weights"] > 0  # not all are refused at the first look
    assert told["kilobytes"] < MOST_KILOBYTES
    assert told["slowest_seconds"] < MOST_SECONDS


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(tmp_path_factory.mktemp("forks"), *MODULES) as made:
        yield made


@pytest.fixture(scope="module")
def begun(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose run has one epoch of two left to train."""
    home = tmp_path_factory.mktemp("begun")
    config = write_config(home, home / "features")
    (done,) = forks.run(Command("train", ["--config", str(config), "--epochs", "1"], str(home)))
    assert done.code == 0, done.err
    return home


def _attempt(forks: Forks, home: Path, marker: Path) -> str:
    """A resume → what it said."""
    (run,) = runs(home)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != ".lock"}
    (done,) = forks.run(Command("train", ["--resume", run.name, "--epochs", "2"], str(home)))
    assert not marker.exists(), "code in a checkpoint was executed"
    assert "Traceback" not in done.err, done.err
    if done.code == 2:
        assert sum(line.startswith("fpnkit.train: ") for line in done.err.splitlines()) == 1, done.err
        after = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != ".lock"}
        assert before == after
        return "refused"
    assert done.code in (0, 1), done.err
    if done.code == 1:
        assert " ERROR diverged at step " in next(run.glob("train_*_1.log"), max(run.glob("train_*.log"))).read_text()
    return "trained on" if done.code == 0 else "diverged"


@sizes("last.pth", sample=4, long=600)
def test_a_changed_state_is_refused_or_trained_on(effort: Effort, forks: Forks, begun: Path, tmp_path: Path) -> None:
    whole = torch.load(runs(begun)[0] / layout.LAST, weights_only=True)
    marker = tmp_path / "executed"
    for numbers in effort.attempts():
        home = tmp_path / "home"
        shutil.copytree(base_dir(begun), base_dir(home))
        (runs(home)[0] / layout.LAST).write_bytes(changed(whole, numbers, marker))
        effort.counted[_attempt(forks, home, marker)] += 1
        shutil.rmtree(home)
