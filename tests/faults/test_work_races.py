"""Trainings, evaluations, sweeps and moves of the same runs at the same moment: results are those of each one alone."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from fpnkit.runs import layout
from tests.support.effort import Effort, sizes
from tests.support.fault_config import runs
from tests.support.fault_world import World, command
from tests.support.forks import Command, Done
from tests.support.wholeness import assert_same_results, assert_same_run, assert_whole

LMBDA = "1e-4"
MORE_EPOCHS = 4  # than the run has
KINDS = ("evaluate", "evaluate", "resume", "train", "sweep", "anchors", "archive", "trash", "list")
MOVES = ("archive", "trash")


def _command(world: World, home: Path, kind: str, delay: float = 0.0) -> Command:
    config = world.folder / "config.yaml"
    words = {
        "evaluate": ("evaluate", world.run.name),
        "resume": ("train", "--resume", world.run.name, "--epochs", MORE_EPOCHS),
        "train": ("train", "--config", config),
        "sweep": ("sweep", "--config", config, "--lambdas", LMBDA),
        "anchors": ("anchors", "--config", config, "--only", "jpeg_input", "--qualities", 20),
        "archive": ("runs", "archive", world.run.name),
        "trash": ("runs", "trash", world.run.name),
        "list": ("runs", "--json"),
    }[kind]
    return command(home, *words, delay=delay)


def _make_references(world: World) -> Path:
    """→ the home of the run that was trained longer."""
    for kind in ("evaluate", "sweep", "anchors"):
        _end(world, world.reference, kind)
    longer = world.home_with_run("longer")
    _end(world, longer, "resume")
    return longer


def _end(world: World, home: Path, kind: str) -> None:
    (done,) = world.forks.run(_command(world, home, kind))
    assert done.code == 0, done.err


def _require_told(kind: str, done: Done) -> None:
    assert done.code in (0, 1, 2), (kind, done)
    assert "Traceback" not in done.err, (kind, done.err)
    assert done.code == 0 or done.err.strip(), (kind, done)


def _of(home: Path, lmbda: str) -> list[Path]:
    return [run for run in runs(home) if f"_lambda_{float(lmbda):.2e}_" in run.name]


def _require_same(world: World, longer: Path, home: Path, kinds: list[str], *, moved: bool) -> None:
    """What each command alone would have made, once the losers have been given again."""
    (whole,) = _of(world.reference, LMBDA)
    if "resume" in kinds and not moved:
        (done,) = world.forks.run(_command(world, home, "resume"))
        _require_told("resume", done)  # perhaps that it has no epoch left
    if "evaluate" in kinds and "resume" not in kinds and not moved:
        _end(world, home, "evaluate")
        inside = Path("checkpoints") / "fpn_compression" / world.run.name / layout.EVALUATION
        assert_same_results(home / inside, world.reference / inside)
    if "anchors" in kinds:
        _end(world, home, "anchors")
        assert_same_results(*(each / "checkpoints" / "anchors" for each in (home, world.reference)))
    if "sweep" in kinds:
        _end(world, home, "sweep")
        for run in _of(home, LMBDA):
            assert_same_run(run, whole)
    for run in _of(home, "2.5e-4"):
        resumed = run.name == world.run.name and "resume" in kinds
        assert_same_run(run, longer / run.relative_to(home) if resumed else world.run)


@sizes("races of work", sample=1, long=400)
def test_who_works_on_the_same_runs_gets_what_one_alone_gets(effort: Effort, world: World) -> None:
    longer = _make_references(world)
    for numbers in effort.attempts():
        home = world.home_with_run("home")
        kinds = _kinds(numbers)
        started = [_command(world, home, kind, numbers.choice((0.0, numbers.uniform(0, 1)))) for kind in kinds]
        moved = False
        for kind, done in zip(kinds, world.forks.run(*started), strict=True):
            _require_told(kind, done)
            moved |= kind in MOVES and done.code == 0
            effort.counted[f"{kind} with code {done.code}"] += 1
        assert_whole(home)
        _require_same(world, longer, home, kinds, moved=moved)
        again = [kind for kind in kinds if kind == "train"]
        assert len(_of(home, "2.5e-4")) == (0 if moved else 1) + len(again), kinds
        shutil.rmtree(home)


def _kinds(numbers: random.Random) -> list[str]:
    if numbers.random() < 0.3:
        return [numbers.choice(("evaluate", "train", "sweep", "anchors", "resume"))] * numbers.randint(2, 4)
    return [numbers.choice(KINDS) for _ in range(numbers.randint(2, 4))]
