"""kill -9 at any moment of any command: nothing is torn, and the command given again ends as if nothing had been."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fpnkit.runs import layout
from tests.support.effort import SLOW, Effort
from tests.support.fault_config import base_dir, is_over, runs, write_config
from tests.support.fault_world import World, command
from tests.support.forks import Command, Done
from tests.support.run_dirs import content
from tests.support.wholeness import assert_same_results, assert_same_run, assert_whole, temporaries

LAMBDAS = ("1e-4", "1e-3")


Start = Callable[[World, Path], Command]
Check = Callable[[World, Path], None]


@dataclass(frozen=True)
class Scenario:
    """A command that is killed."""

    begin: Callable[[World, str], Path]  # → its home
    start: Start  # what is given, also again
    check: Check  # when it has ended
    always: Check = lambda world, home: None  # after a kill too


def _train(world: World, home: Path) -> Command:
    begun = [run for run in runs(home) if (run / layout.LAST).exists()]
    if begun:
        return command(home, "train", "--resume", begun[0])
    return command(home, "train", "--config", world.folder / "config.yaml")


def _trained(world: World, home: Path) -> None:
    (run,) = (run for run in runs(home) if (run / layout.LAST).exists())
    assert_same_run(run, world.run)


def _no_features(world: World, name: str) -> Path:
    home = world.home(name)
    write_config(home, home / "features")
    return home


def _fill(world: World, home: Path) -> Command:
    return command(home, "train", "--config", home / "config.yaml", "--epochs", 1, "--lr", "1e-30")


def _filled(world: World, home: Path) -> None:
    own, other = ({path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}
                  for folder in (home / "features", world.folder / "features"))  # fmt: skip
    assert own == other


def _evaluate(world: World, home: Path) -> Command:
    return command(home, "evaluate", world.run.name)


def _evaluated(world: World, home: Path) -> None:
    for inside in (Path("ceilings"), Path("fpn_compression") / world.run.name / "evaluation"):
        assert_same_results(*(each / "checkpoints" / inside for each in (home, world.reference)))


def _anchors(world: World, home: Path) -> Command:
    return command(home, "anchors", "--config", world.folder / "config.yaml", "--only", "jpeg_input", "--qualities", 20)


def _anchored(world: World, home: Path) -> None:
    assert_same_results(*(each / "checkpoints" / "anchors" for each in (home, world.reference)))


def _same_streams(world: World, home: Path) -> None:
    """Coded files, as far as there are any."""
    for path in home.rglob("streams/[0-9]*"):
        assert path.read_bytes() == (world.reference / path.relative_to(home)).read_bytes()


def _analyze(world: World, home: Path) -> Command:
    return command(home, "analyze", world.run.name, "--small", "--images", 1)


def _analyzed(world: World, home: Path) -> None:
    own, other = (base_dir(each) / world.run.name / "fpn_analysis" for each in (home, world.reference))
    assert {path.name for path in own.rglob("*")} == {path.name for path in other.rglob("*")}
    for path in other.rglob("*.csv"):
        assert (own / path.relative_to(other)).read_bytes() == path.read_bytes()


def _sweep(world: World, home: Path) -> Command:
    return command(home, "sweep", "--config", world.folder / "config.yaml", "--lambdas", *LAMBDAS)


def _swept(world: World, home: Path) -> None:
    for lmbda in LAMBDAS:
        own, other = ([run for run in runs(each) if f"_lambda_{float(lmbda):.2e}_" in run.name and is_over(run)]
                      for each in (home, world.reference))  # fmt: skip
        assert len(own) == 1
        assert_same_run(own[0], other[0])


def _tidy(*arguments: str) -> Start:
    return lambda world, home: command(home, "runs", *arguments)


def _archive(world: World, home: Path) -> Command:
    if (base_dir(home) / world.run.name).exists():
        return command(home, "runs", "archive", world.run.name)
    return command(home, "runs", "purge", "--yes")  # which ends a deletion that was interrupted


def _archived(world: World, home: Path) -> None:
    assert not (base_dir(home) / world.run.name).exists()
    _one_of_it(world, home)


def _one_of_it(world: World, home: Path) -> None:
    """A run that is whole, in one of the places where it may be."""
    base = base_dir(home)
    for archive in (base / layout.ARCHIVE).glob("*.tar.gz"):
        target = home / "unpacked"
        shutil.unpack_archive(archive, target, filter="tar")
        unpacked = content(target / world.run.name)
        shutil.rmtree(target)
        assert unpacked == _original(world)
        return
    (found,) = (path.parent for path in base.rglob(layout.LAST))
    assert content(found) == _original(world)


def _original(world: World) -> dict[str, bytes]:
    copy = world.folder / "original"
    if not copy.exists():
        shutil.copytree(world.run, copy, ignore=shutil.ignore_patterns("evaluation", "fpn_*"))
    return content(copy)


def _trash(world: World, home: Path) -> Command:
    there = (base_dir(home) / world.run.name).exists()
    return command(home, "runs", "trash", world.run.name) if there else command(home, "runs", "restore")


def _two_runs(world: World, name: str) -> Path:
    home = world.home_with_run(name)
    shutil.copytree(base_dir(home) / world.run.name, base_dir(home) / f"{world.run.name}_1")
    return home


def _in_the_trash(world: World, name: str) -> Path:
    home = world.home_with_run(name)
    bin_ = base_dir(home) / layout.TRASH / "20261216_143022"
    bin_.mkdir(parents=True)
    shutil.move(base_dir(home) / world.run.name, bin_)
    return home


def _none_left(world: World, home: Path) -> None:
    assert list(base_dir(home).rglob(layout.LAST)) == []
    assert runs(home) == []


def _both_whole(world: World, home: Path) -> None:
    found = [path.parent for path in base_dir(home).rglob(layout.LAST)]
    assert len(found) == 2
    assert all(content(path) == _original(world) for path in found)


def _pruned(world: World, home: Path) -> None:
    assert len(runs(home)) == 1
    _both_whole(world, home)


NEW: Callable[[World, str], Path] = World.home
WITH_RUN: Callable[[World, str], Path] = World.home_with_run
SCENARIOS = {
    "train": Scenario(NEW, _train, _trained),
    "cache": Scenario(_no_features, _fill, _filled),
    "evaluate": Scenario(WITH_RUN, _evaluate, _evaluated, _same_streams),
    "anchors": Scenario(NEW, _anchors, _anchored, _same_streams),
    "analyze": Scenario(WITH_RUN, _analyze, _analyzed),
    "sweep": Scenario(NEW, _sweep, _swept),
    "archive": Scenario(WITH_RUN, _archive, _archived, _one_of_it),
    "trash": Scenario(WITH_RUN, _trash, _one_of_it, _one_of_it),
    "prune": Scenario(_two_runs, _tidy("prune", "--keep-best", "1", "--yes"), _pruned, _both_whole),
    "purge": Scenario(_in_the_trash, _tidy("purge", "--yes"), _none_left),
}
ENDS_IN = ("evaluate", "anchors", "analyze", "sweep")  # the reference has what these make
LONG = dict(zip(SCENARIOS, (250, 50, 150, 80, 30, 60, 130, 80, 90, 80), strict=True))  # kills: 1,000
SAMPLE = dict(zip(SCENARIOS, (1, 1, 1, 1, 0, 0, 3, 2, 2, 2), strict=True))


def _usual_seconds(world: World, name: str, scenario: Scenario) -> float:
    """Of the command that nobody kills; its results are those of the reference."""
    if name not in world.seconds:
        home = world.reference if name in ENDS_IN else scenario.begin(world, f"whole_{name}")
        (done,) = world.forks.run(scenario.start(world, home))
        assert done.code == 0, done.err
        scenario.check(world, home)
        world.seconds[name] = done.seconds
    return world.seconds[name]


def _kill_and_go_on(
    world: World, scenario: Scenario, home: Path, usual: float, numbers: random.Random, effort: Effort
) -> Done:
    """Up to three kills one after the other, then to the end."""
    for _ in range(numbers.randint(1, 3)):
        (done,) = world.forks.run(replace(scenario.start(world, home), kill_after=numbers.uniform(0, 1.05 * usual)))
        effort.counted["kills" if done.killed else "ends before the kill"] += 1
        effort.counted["files read"] += assert_whole(home)
        scenario.always(world, home)
        if not done.killed:
            return done
    (done,) = world.forks.run(scenario.start(world, home))
    return done


def _given_up(path: Path) -> bool:
    """In a run that was killed and to which nobody came back, such as one before its first save."""
    run = next((folder for folder in path.parents if folder.name.startswith("run_")), None)
    return run is not None and not is_over(run)


SAMPLES = [pytest.param(name, ("kills", 0, False), id=f"sample-{name}") for name in SCENARIOS if SAMPLE[name]]
ALL = [pytest.param(name, ("kills", 0, True), id=f"long-{name}", marks=SLOW) for name in SCENARIOS]


@pytest.mark.parametrize(("name", "effort"), [*SAMPLES, *ALL], indirect=["effort"])
def test_what_is_killed_ends_as_if_it_had_not_been(name: str, effort: Effort, world: World) -> None:
    effort.name, wanted = f"kills of {name}", (LONG if effort.long else SAMPLE)[name]
    scenario = SCENARIOS[name]
    usual = _usual_seconds(world, name, scenario)
    for numbers in effort.attempts(lambda: effort.counted["kills"] < wanted):
        home = scenario.begin(world, f"home_{name}")
        done = _kill_and_go_on(world, scenario, home, usual, numbers, effort)
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        assert_whole(home)
        scenario.check(world, home)
        left = [path for path in temporaries(home) if not _given_up(home / path)]
        effort.counted["unfinished files left"] += len(left)
        assert left == []
        shutil.rmtree(home)
