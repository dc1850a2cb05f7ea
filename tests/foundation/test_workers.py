import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fpnkit.foundation.workers import LostWorkerError, in_order
from tests.support import ROOT
from tests.support.worker_tasks import brittle, uneven


def test_results_come_in_order_and_no_more_is_asked_for_than_needed() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(40):
            asked.append(number)
            yield number

    found = []
    for result in in_order(uneven, tasks(), 2):
        found.append(result)
        assert len(asked) <= len(found) + 8
    assert found == [number**2 for number in range(40)]


def test_what_a_task_raises_is_raised_and_says_where() -> None:
    results = in_order(brittle, [4, 5], 1)
    assert next(results) == 60
    with pytest.raises(ZeroDivisionError) as caught:
        next(results)
    assert "return 60 // (5 - number)\n" in caught.value.__notes__[0]


def test_a_worker_that_is_killed_is_one_message() -> None:
    with pytest.raises(LostWorkerError) as caught:
        list(in_order(brittle, [1, 2, 3, 4], 2))
    before, _, after = str(caught.value).partition(" was ")
    assert before.rstrip("0123456789") == "worker process "
    assert after == "ended by SIGKILL, most likely because memory ran out: fewer workers need less"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_whoever_started_them(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.worker_tasks", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as parent:
        try:
            workers = [psutil.Process(pid) for pid in _both(tmp_path)]
            assert [worker.ppid() for worker in workers] == [parent.pid] * 2
            assert all(os.getsid(worker.pid) == worker.pid for worker in workers)  # Ctrl-C does not reach them
            parent.send_signal(number)
            parent.wait(30)
        finally:
            parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def _both(folder: Path) -> list[int]:
    deadline = time.monotonic() + 30
    while len(found := [int(path.name) for path in folder.iterdir()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found
