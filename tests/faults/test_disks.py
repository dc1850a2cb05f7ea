"""A disk that is full at any moment: one message, nothing torn, and with room again the command ends as if it had been
there.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fpnkit.runs import layout
from tests.support.disks import mounted
from tests.support.effort import Effort, sizes
from tests.support.fault_config import MODULES, base_dir, runs, write_config
from tests.support.forks import Command, Done, Forks
from tests.support.run_dirs import content
from tests.support.wholeness import assert_same_results, assert_same_run, assert_whole, temporaries

ROOM = 64 * 2**20
PAGE = 4096


@dataclass(frozen=True)
class Disk:
    """A disk of its own, and beside it what a command gives where there is room."""

    forks: Forks
    folder: Path  # where it is mounted
    config: Path
    reference: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def run(self) -> Path:
        return runs(self.reference)[0]

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)

    def used(self) -> int:
        """Pages that are taken, in bytes."""
        return shutil.disk_usage(self.folder).used

    def start(self, module: str, *arguments: object) -> Done:
        (done,) = self.forks.run(Command(module, [str(each) for each in arguments], str(self.home), roomy=True))
        return done


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("disks")
    for name in ("forks", "reference"):
        (folder / name).mkdir()
    with (
        mounted(folder / "small", f"size={ROOM}"),
        Forks(folder / "forks", *MODULES) as forks,
    ):
        config, reference = write_config(folder, folder / "features"), folder / "reference"
        made = Disk(forks, folder / "small", config, reference)
        for module, arguments in (("train", ["--config", str(config)]), ("evaluate", ["run_"])):
            (done,) = forks.run(Command(module, arguments, str(reference)))
            assert done.code == 0, done.err
        yield made


def _begin(disk: Disk, numbers: random.Random, needs: int, *, with_run: bool) -> None:
    """A home on the disk, and as much room as is enough for a part of what the command needs."""
    shutil.rmtree(disk.home, ignore_errors=True)
    base_dir(disk.home).mkdir(parents=True)
    if with_run:
        copy = base_dir(disk.home) / disk.run.name
        shutil.copytree(disk.run, copy, ignore=shutil.ignore_patterns(layout.EVALUATION))
    disk.resize(disk.used() + PAGE * numbers.randrange(1, needs // PAGE))


def _require_told(done: Done, effort: Effort) -> None:
    assert done.code in (0, 1, 2), done
    effort.counted["had enough room" if done.code == 0 else "told that the disk is full"] += 1
    assert "Traceback" not in done.err, done.err
    if done.code:
        assert "No space left on device" in done.err.splitlines()[-1], done.err


def _train(disk: Disk, numbers: random.Random, effort: Effort) -> None:
    _begin(disk, numbers, 3 * 2**20, with_run=False)
    done = disk.start("train", "--config", disk.config)
    _require_told(done, effort)
    effort.counted["files read"] += assert_whole(disk.home)
    disk.resize(ROOM)
    begun = [run for run in runs(disk.home) if (run / layout.LAST).exists()]
    if done.code:
        done = disk.start("train", *(["--resume", begun[0]] if begun else ["--config", disk.config]))
    assert done.code == 0, done.err
    (run,) = (run for run in runs(disk.home) if (run / layout.LAST).exists())
    assert_same_run(run, disk.run)


def _evaluate(disk: Disk, numbers: random.Random, effort: Effort) -> None:
    _begin(disk, numbers, 2**19, with_run=True)
    _require_told(disk.start("evaluate", disk.run.name), effort)
    effort.counted["files read"] += assert_whole(disk.home)
    disk.resize(ROOM)
    done = disk.start("evaluate", disk.run.name)
    assert done.code == 0, done.err
    inside = Path("checkpoints") / "fpn_compression" / disk.run.name / "evaluation"
    assert_same_results(disk.home / inside, disk.reference / inside)


def _archive(disk: Disk, numbers: random.Random, effort: Effort) -> None:
    _begin(disk, numbers, 2**20, with_run=True)
    before = content(base_dir(disk.home) / disk.run.name)
    done = disk.start("runs", "archive", disk.run.name)
    _require_told(done, effort)
    if done.code:
        assert content(base_dir(disk.home) / disk.run.name) == before
        disk.resize(ROOM)
        done = disk.start("runs", "archive", disk.run.name)
        assert done.code == 0, done.err
    assert not (base_dir(disk.home) / disk.run.name).exists()
    effort.counted["files read"] += assert_whole(disk.home)


@sizes("full disks", sample=3, long=600)
def test_a_disk_that_is_full_costs_nothing_but_time(effort: Effort, disk: Disk) -> None:
    for number, numbers in enumerate(effort.attempts()):
        (_train, _evaluate, _archive)[number % 3](disk, numbers, effort)
        assert temporaries(disk.home) == []
        disk.resize(ROOM)
