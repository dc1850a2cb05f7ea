"""A panel that starts and stops trainings all day, and one whose kernel dies while it starts one: real processes."""

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from fpnkit.launch.launchers import find, submit
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.protocol import How
from fpnkit.launch.stop import stop
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from fpnkit.runs.status import run_status
from fpnkit.runs.store import list_runs
from tests.support import ROOT
from tests.support.effort import Effort, effort, sizes
from tests.support.launch_processes import run_made
from tests.support.run_processes import until

__all__ = ["effort"]
TRAINER = "tests.support.fake_trainer"


def _open() -> tuple[int, int, int]:
    """Files, threads and children, zombies among them, of this process."""
    own = psutil.Process()
    return own.num_fds(), threading.active_count(), len(own.children(recursive=True))


@sizes("starts and stops", sample=2, long=50)
def test_starts_and_stops_leave_no_zombie_no_open_file_and_no_thread(effort: Effort, base: Path) -> None:
    gc.collect()
    before = _open()
    ways: tuple[How, ...] = ("graceful", "now", "kill")
    for numbers in effort.attempts():
        launched = submit(["create", str(base)], base, TRAINER)
        assert isinstance(launched, LocalLaunch)
        run = run_made(launched)
        how = numbers.choice(ways)
        stop(launched, how)
        until(lambda: not launched.lives())  # noqa: B023
        effort.counted[f"{how}: {run_status(read_record(run)).word}"] += 1
    gc.collect()
    until(lambda: _open() == before, 10)


DIES = """
import os, sys
from pathlib import Path
from fpnkit.launch.launchers import submit
from fpnkit.launch.local import LocalLaunch
LocalLaunch.write = lambda launch: os.kill(os.getpid(), 9)
submit(["create", sys.argv[1]], Path(sys.argv[1]), "tests.support.fake_trainer")
"""


def test_a_training_whose_starter_died_before_it_noted_that_is_seen_as_a_run_and_can_be_stopped(base: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", DIES, str(base)], env=environment, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert find(base) == []
    until(lambda: [run.status for run in list_runs(base)] == ["running"])
    (run,) = list_runs(base)
    until(lambda: len(read_metrics(run.path / "metrics.jsonl")) > 0)  # until then a stop takes the run back
    pid = read_record(run.path).pid
    assert pid is not None
    try:
        stop(run.path)
        until(lambda: not psutil.pid_exists(pid))
    finally:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    assert [each.status for each in list_runs(base)] == ["killed"]  # this trainer does not know the signal
