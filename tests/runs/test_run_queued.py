"""Runs that a scheduler is to go on with, by a queue that the test writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fpnkit.foundation import slurm
from fpnkit.runs.index import RunIndex
from fpnkit.runs.job import SchedulerJob, write_job
from tests.support.fake_slurm import FakeSlurm, fake_slurm
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    yield fake_slurm(tmp_path / "slurm", monkeypatch)
    slurm.ask_again()


@pytest.mark.parametrize("end", [("interrupted", 130), ("no luck", 1), "killed"])
def test_a_run_with_a_job_is_as_the_scheduler_says_at_every_look(
    tmp_path: Path, queue: FakeSlurm, end: tuple[str, int] | str
) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    run = make_run(tmp_path / "runs", plan(config, [1e-3]).config(1e-3, 0), end)
    index = RunIndex(tmp_path / "runs")

    def look() -> tuple[str, str | None]:
        (found,) = index.read()
        return found.status, found.reason

    before = look()
    assert before[0] in ("stopped", "crashed", "killed")
    queue.set("5_0", "PENDING", "Priority")
    write_job(run, SchedulerJob("5_0", str(tmp_path / "5.log")))
    assert look() == ("queued", "job 5_0: Priority")
    queue.answers(False)
    assert look() == before
    queue.answers(True)
    assert look() == ("queued", "job 5_0: Priority")
    queue.set("5_0", "CANCELLED")
    assert look() == (before if end != "killed" else ("killed", "job 5_0: cancelled"))
