"""Wrong files never end the process, hang, take no memory to speak of, and are refused or decoded to what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fpnkit.container import read, write
from fpnkit.errors import StreamError
from tests.support import ROOT
from tests.support.effort import Effort, sizes
from tests.support.golden import FOLDER
from tests.support.mutations import mutated
from tests.support.raw_stream import SHARED, STREAM

MOST_KILOBYTES = 100_000
MOST_SECONDS = 5.0


def _containers() -> list[bytes]:
    return [write(STREAM), write(SHARED), *(path.read_bytes() for path in sorted(Path(FOLDER).glob("*.fpn")))]


@sizes("containers", sample=3000, long=1_000_000)
def test_a_container_that_was_changed_is_refused_or_is_the_only_one_for_what_it_holds(effort: Effort) -> None:
    originals = _containers()
    for numbers in effort.attempts():
        original = numbers.choice(originals)
        wrong = mutated(original, numbers)
        try:
            stream = read(wrong)
        except StreamError as error:
            effort.counted["refused" if "\n" not in str(error) else "refused in several lines"] += 1
        else:
            assert write(stream) == wrong
            effort.counted["unchanged" if wrong == original else "read as something else"] += 1
    assert effort.counted["refused in several lines"] == 0


@sizes("decodes", sample=150, long=300_000)
def test_files_that_nobody_coded_are_refused_or_decoded_by_a_process_that_lives_on(effort: Effort) -> None:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MALLOC_PERTURB_": "165",  # memory that was freed is overwritten: what reads on behind its own end meets ones
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.fuzz_decode", str(effort.size), str(effort.seed)]
    command += [] if effort.seconds is None else [str(effort.seconds)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for codec, results in told["results"].items():
        for what, count in results.items():
            effort.counted[f"{codec} {what}"] += count
        count = sum(results.values())
        assert count >= 50
        assert results["other symbols decoded"] > count / 10  # the fuzzing got through to the very end
        assert results["refused"] > count / 10
        assert "refused in several lines" not in results
    assert told["kilobytes"] < MOST_KILOBYTES
    assert told["slowest_seconds"] < MOST_SECONDS
