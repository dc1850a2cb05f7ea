"""What two processes with half a batch each save against one with all of it, over gloo on one machine.

The same training, steps 11 to 30 by the clock of its metrics, so that no start is timed: reading, noise, both sums over
processes and every step's line of metrics are. Each process has one thread; the one alone has one, and then two.
"""

import re
from pathlib import Path
from statistics import median

import pytest

from fpnkit.runs.metrics import read_metrics
from tests.support import torchrun
from tests.support.train_process import only_run

FIRST, LAST, PAIRS = 10, 30, 3


@pytest.mark.benchmark
@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_against_one(threads: int, tmp_path: Path) -> None:
    codec = "{kind: factorized}", "{lambda: 2.5e-4}"
    config = torchrun.write_config(tmp_path / "config.yaml", tmp_path / "features", codec, crops=36)
    text = (
        config.read_text()
        .replace("epochs: 2, batch_size: 2", "epochs: 1, batch_size: 8")
        .replace("crop: 64", "crop: 128")
    )
    config.write_text(text)
    rows = []
    for pair in range(PAIRS + 1):  # the first fills the cache
        one = step_seconds(0, config, tmp_path / f"one_{pair}", OMP_NUM_THREADS=str(threads))
        two = step_seconds(2, config, tmp_path / f"two_{pair}")
        rows.append((one, two, one / two))
    found = [f"{median(column):.3f} ({min(column):.3f} to {max(column):.3f})" for column in zip(*rows[1:], strict=True)]
    print(f"\nfactorized, batch 8, crops of 128 pixels: one process of {threads} threads {found[0]} s a step,")
    print(f"two processes {found[1]} s; so many times as fast: {found[2]}")


def step_seconds(processes: int, config: Path, base_dir: Path, **environment: str) -> float:
    done = torchrun.train(processes, "--config", config, "--base-dir", base_dir, **environment)
    assert done.returncode == 0, done.stderr
    assert bool(re.search(r"^2 processes, ", done.stderr, re.MULTILINE)) == (processes == 2)
    at = {
        line.step: line.seconds for line in read_metrics(only_run(base_dir) / "metrics.jsonl") if line.split == "train"
    }
    assert at[LAST] is not None
    assert at[FIRST] is not None
    return (at[LAST] - at[FIRST]) / (LAST - FIRST)
