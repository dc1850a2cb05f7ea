"""Two trainings at a time against one after another: the command, with its processes and their start.

Two threads for one training, one thread each for two. The feature cache is filled by the first pair, which is not
counted.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.in_turns import in_turns

LAMBDAS = ("3e-6", "2e-5", "1e-4", "5e-4")


@pytest.mark.benchmark
def test_two_at_a_time_against_one_after_another(tmp_path: Path) -> None:
    features = tmp_path / "features"
    number = iter(range(100))

    def sweep(jobs: int) -> Callable[[], Callable[[], int]]:
        def ready() -> Callable[[], int]:
            base = tmp_path / str(next(number))
            config = ROOT / "configs" / "example_sweep.yaml"
            command = [sys.executable, "-m", "fpnkit.sweep", "--config", str(config), "--lambdas", *LAMBDAS]
            command += ["--set", f"cache.directory={features}", "--base-dir", str(base), "--jobs", str(jobs)]

            def run() -> int:
                environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
                done = subprocess.run(command, env=environment, capture_output=True, check=True)
                return done.returncode

            return run

        return ready

    compared = in_turns(sweep(2), sweep(1), 2)
    print(compared.table("a sweep of four runs", ("two at a time", "one after another"), len(LAMBDAS), "run"))
    assert all(each.result == 0 for pair in compared.pairs for each in pair)
