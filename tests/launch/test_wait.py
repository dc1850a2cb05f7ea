"""Waiting for real processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.errors import RunError
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.protocol import TRAIN
from fpnkit.launch.stop import stop
from fpnkit.launch.wait import until_ended, until_trains
from fpnkit.runs.metrics import read_metrics
from tests.support.run_processes import until

Begin = Callable[..., LocalLaunch]


def test_a_training_is_waited_for_from_its_first_numbers_to_its_end(base: Path, launch: Begin) -> None:
    launched = launch("create", base)
    run = until_trains(launched)
    assert read_metrics(run / "metrics.jsonl")
    with pytest.raises(RunError) as error:
        until_ended(run, 0.1)
    assert str(error.value) == f"{run.name}: required to end within 0.1 s, found it running"
    stop(run, "kill")
    assert until_ended(run).status == "killed"
    assert until_ended(launched).run == run
    assert until_trains(launched) == run  # it did


def test_what_a_run_learned_before_it_was_resumed_does_not_count(base: Path, launch: Begin) -> None:
    first = launch("create", base, "--end", 130, "SIGINT")
    run = until_trains(first)
    assert until_ended(first).status == "stopped"
    idle = launch("resume", run, "--lines", 0)
    with pytest.raises(RunError) as error:
        until_trains(idle, 1.5)
    assert str(error.value) == f"{run.name}: required to train within 1.5 s, found it running"
    stop(idle, "kill")
    until_ended(idle)
    assert until_trains(launch("resume", run)) == run


def test_one_that_never_trains_says_why(base: Path, launch: Begin) -> None:
    launched = launch("--set", "no", "--config", "x", module=TRAIN)
    with pytest.raises(RunError) as error:
        until_trains(launched)
    told = "--set no: required key.path=value, such as training.lr=1e-4"
    assert str(error.value) == f"process {launched.pid}: ended before it trained: {told}"
    silent = launch("-n1", "while 1: 0", module="timeit")
    with pytest.raises(RunError) as error:
        until_trains(silent, 0.1)
    assert str(error.value) == f"process {silent.pid}: required to train within 0.1 s, found it starting"
    stop(silent, "kill")
    until(lambda: not silent.lives())
