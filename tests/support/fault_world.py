"""A training so small that it can be killed hundreds of times, and what becomes of it when nobody does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fault_config import MODULES, base_dir, runs, write_config
from tests.support.forks import Command, Forks


@dataclass(frozen=True)
class World:
    """Everything that the attempts begin with, made once and not changed; and how long each command takes."""

    forks: Forks
    folder: Path
    seconds: dict[str, float]

    @property
    def reference(self) -> Path:
        return self.folder / "reference"

    @property
    def run(self) -> Path:
        return runs(self.reference)[0]

    def home(self, name: str) -> Path:
        return Path(shutil.copytree(self.folder / "empty", self.folder / name))

    def home_with_run(self, name: str) -> Path:
        home = self.home(name)
        shutil.copytree(self.run, base_dir(home) / self.run.name, ignore=shutil.ignore_patterns("evaluation", "fpn_*"))
        return home


def command(home: Path, module: str, *arguments: object, **options: float) -> Command:
    return Command(module, [str(each) for each in arguments], str(home), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("kills")
    for name in ("forks", "empty", "reference"):
        (folder / name).mkdir()
    base_dir(folder / "empty").mkdir(parents=True)
    write_config(folder, folder / "features")
    with Forks(folder / "forks", *MODULES) as forks:
        made = World(forks, folder, {})
        base_dir(made.reference).mkdir(parents=True)
        for _ in range(2):  # the second finds the features
            (done,) = forks.run(command(made.reference, "train", "--config", folder / "config.yaml"))
            assert done.code == 0, done.err
        yield made
