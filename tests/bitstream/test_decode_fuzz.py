"""Wrong files never end the process, take no memory to speak of, and are refused or decoded."""

import os
import subprocess
import sys

import pytest

from tests.support import ROOT


@pytest.mark.parametrize(("count", "seed"), [(600, 0), pytest.param(100_000, 1, marks=pytest.mark.slow)])
def test_files_that_nobody_coded_are_refused_or_decoded_by_a_process_that_lives_on(count: int, seed: int) -> None:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MALLOC_PERTURB_": "165",  # memory that was freed is overwritten: what reads on behind its own end meets ones
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.fuzz_decode", str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    decoded, refused, kilobytes, _ = map(int, done.stdout.split())
    assert decoded + refused == count
    assert decoded > count / 10  # the fuzzing got through to the very end
    assert refused > count / 10
    assert kilobytes < 100_000
