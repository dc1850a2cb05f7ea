"""kill -9 of any process of a job of Slurm: nothing is torn, and the sweep given again ends as if nothing had been."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fpnkit.runs import layout
from tests.support import ROOT
from tests.support.effort import SLOW, Effort
from tests.support.fault_config import is_over, runs
from tests.support.fault_world import World, command
from tests.support.forks import Command
from tests.support.run_processes import until
from tests.support.slurm_server import SlurmServer, running
from tests.support.wholeness import assert_same_run, assert_whole

JOB_SECONDS = 12.0  # of one that nobody kills, about
ROUNDS = 8
LMBDA = "1e-4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmServer]:
    with running(tmp_path_factory.mktemp("slurm")) as made:
        yield made


def _sweep(world: World, home: Path, server: SlurmServer | None = None) -> Command:
    config = world.folder / "on_slurm.yaml"
    config.write_text((world.folder / "config.yaml").read_text() + "slurm: {time: 10}\n")
    arguments = ["--config", str(config), "--lambdas", LMBDA]
    if server is None:
        return command(home, "sweep", *arguments)
    environment = {**server.environment, "PYTHONPATH": str(ROOT)}
    return Command("sweep", [*arguments, "--on", "slurm"], str(home), env=environment)


def _processes(home: Path) -> list[psutil.Process]:
    """Of its jobs: batch scripts, steps, what watches a training, and trainings."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("FPNKIT_HOME") == str(home) and "SLURM_JOB_ID" in process.environ():
                found.append(process)
    return found


def _kill(home: Path, numbers: random.Random, effort: Effort) -> None:
    """One of them, or all at once, as when a node goes down."""
    victims = _processes(home)
    for victim in victims if numbers.random() < 0.3 else numbers.sample(victims, min(1, len(victims))):
        with contextlib.suppress(psutil.Error):
            name = Path(victim.name()).name
            victim.kill()
            effort.counted[f"kills of {name}"] += 1
            effort.counted["kills"] += 1


def _killed_until_done(world: World, server: SlurmServer, home: Path, numbers: random.Random, effort: Effort) -> int:
    """→ how often it was submitted."""
    for number in range(1, ROUNDS):
        (done,) = world.forks.run(_sweep(world, home, server))
        assert done.code == 0, done.err
        if not server.queue():
            return number
        if number < ROUNDS // 2:
            time.sleep(numbers.uniform(0, JOB_SECONDS))
            _kill(home, numbers, effort)
        until(lambda: not server.queue() and not _processes(home), 120)
        effort.counted["files read"] += assert_whole(home)
    raise AssertionError(f"not done when submitted for the {ROUNDS}th time: {done.out}")


@pytest.mark.slurm
@pytest.mark.parametrize("effort", [pytest.param(("kills on Slurm", 0, True), id="long", marks=SLOW)], indirect=True)
def test_a_killed_job_ends_as_if_it_had_not_been(effort: Effort, world: World, server: SlurmServer) -> None:
    (done,) = world.forks.run(_sweep(world, world.reference))
    assert done.code == 0, done.err
    (whole,) = (run for run in runs(world.reference) if f"_lambda_{float(LMBDA):.2e}_" in run.name)
    for numbers in effort.attempts(lambda: effort.counted["kills"] < 60):
        home = world.home("home")
        effort.counted["submissions"] += _killed_until_done(world, server, home, numbers, effort)
        (run,) = filter(is_over, runs(home))
        assert_same_run(run, whole)
        # What was killed before its first save is begun anew.
        assert [other.name for other in runs(home) if other != run and (other / layout.LAST).exists()] == []
        shutil.rmtree(home)
