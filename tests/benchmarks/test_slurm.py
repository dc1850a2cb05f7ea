"""A thousand jobs: what a sweep typed again and a panel's look cost, against reading the runs without a scheduler."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fpnkit.foundation import slurm
from fpnkit.launch.launchers import submit_to_slurm
from fpnkit.launch.local import command
from fpnkit.launch.queue import queued, with_jobs
from fpnkit.launch.sweep import SweepPoint
from tests.support.in_turns import in_turns
from tests.support.slurm_server import running

pytestmark = [pytest.mark.benchmark, pytest.mark.slurm]

JOBS = 1000


def test_a_thousand_queued_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slurm").mkdir()
    base = tmp_path / "runs"
    with running(tmp_path / "slurm") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        lambdas = [1e-4 * (1 + n) for n in range(JOBS)]
        trains = [command(["--lambda", repr(x), "--seed", "0", "--sweep", "many"]) for x in lambdas]
        submit_to_slurm(trains, base, {"time": 10, "begin": "now+1hour"})
        points = [SweepPoint(x, 0, None, "missing") for x in lambdas]
        calls: list[list[str]] = []
        ask = slurm._ask
        monkeypatch.setattr(slurm, "_ask", lambda argv: calls.append(argv) or ask(argv))

        def look() -> int:
            return sum(point.status == "queued" for point in with_jobs(points, queued(base), "many"))

        def asked() -> int:
            slurm.ask_again()
            calls.clear()
            found = look()
            assert [call[0] for call in calls] == ["squeue"]
            return found

        def files() -> int:
            return len([os.stat(path) for path in (base / ".launch").glob("*.json")])

        timed = in_turns(lambda: asked, lambda: files, 5)
        print(timed.table(f"{JOBS} queued jobs", ("a look at all of them", "a stat of their files"), 1, "look"))
        assert all(pair[0].result == pair[1].result == JOBS for pair in timed.pairs)
        server.clear()
