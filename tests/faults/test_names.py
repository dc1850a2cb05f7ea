"""Runs, folders, tags, notes and data sets with names that nobody should choose: nothing else is touched, and what is
printed is text.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.coded_run import write_run as write_coded_run
from tests.support.effort import Effort, sizes
from tests.support.fault_config import MODULES, OF_RUNS, base_dir
from tests.support.forks import Command, Done, Forks
from tests.support.odd_names import odd_argument, odd_name
from tests.support.run_dirs import content, write_run

SAYS = ("--show-details", "note", "tag", "diff", "--query", "--sort", "--columns")
MOVES = ("archive", "trash", "restore", "purge")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(tmp_path_factory.mktemp("forks"), *OF_RUNS) as made:
        yield made


def _arguments(names: list[str], generator: random.Random) -> list[str]:
    """Of `fpnkit.runs`, about a run that there is or one that there is not."""

    def any_name() -> str:
        return generator.choice(names) if generator.random() < 0.6 else odd_argument(generator)

    action = generator.choice(("", "--json", "--csv", *SAYS, *MOVES, "prune"))
    more = {
        "": [],
        "diff": [any_name(), any_name()],
        "note": [any_name(), odd_argument(generator)],
        "tag": [
            any_name(),
            odd_argument(generator),
            *(["--remove", odd_argument(generator)] * generator.randint(0, 1)),
        ],
        "prune": ["--keep-best", "1", "--yes"],
        "purge": [any_name(), "--yes"],
    }
    return [*([action] if action else []), *more.get(action, [] if action in ("--json", "--csv") else [any_name()])]


def _require_plain(done: Done, arguments: list[str]) -> None:
    assert done.code in (0, 1, 2), (arguments, done)
    assert "Traceback" not in done.err, (arguments, done.err)
    shown = done.out if "--csv" not in arguments else ""
    shown += done.err if not done.err.startswith("usage: ") else ""  # what the parser quotes was typed
    odd = {character for character in shown if not character.isprintable() and character not in "\n"}
    assert odd == set(), (arguments, shown)


@sizes("names", sample=25, long=20_000)
def test_commands_about_runs_touch_nothing_else_whatever_things_are_called(
    effort: Effort, forks: Forks, tmp_path: Path
) -> None:
    for number, numbers in enumerate(effort.attempts()):
        home = tmp_path / str(number)
        base, outside = home / odd_name(numbers), home.parent / f"outside_{number}"
        names = sorted({odd_name(numbers) for _ in range(3)})
        for name in names:
            write_run(base, name)
        before = content(write_run(outside, "outside"))
        for _ in range(4):
            arguments = _arguments(names, numbers)
            (done,) = forks.run(Command("runs", [f"--base-dir={base}", *arguments], str(home)))
            _require_plain(done, arguments)
            effort.counted[f"commands with code {done.code}"] += 1
            assert os.listdir(home) == [base.name], arguments
            assert content(outside / "outside") == before, arguments
        shutil.rmtree(home)
        shutil.rmtree(outside)
    assert not list(tmp_path.rglob("executed"))


@pytest.fixture(scope="module")
def evaluating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Forks, Path]]:
    """With a home that has a run."""
    home = tmp_path_factory.mktemp("home")
    write_coded_run(base_dir(home), 4)
    with Forks(tmp_path_factory.mktemp("forks"), *MODULES) as made:
        yield made, home


@sizes("names of data sets", sample=2, long=500)
def test_results_stay_in_the_run_whatever_the_data_set_is_called(
    effort: Effort, evaluating: tuple[Forks, Path], tmp_path: Path
) -> None:
    forks, begun = evaluating
    for number, numbers in enumerate(effort.attempts()):
        home = tmp_path / str(number)
        shutil.copytree(begun, home)
        (run,) = base_dir(home).glob("run_*")
        images = home / "data" / odd_name(numbers)
        images.mkdir(parents=True)
        Image.new("RGB", (64, 64), (200, 10, 10)).save(images / f"{odd_name(numbers)[:40]}.png", "PNG")
        source = {"kind": "folder", "images": str(images)}
        (done,) = forks.run(Command("evaluate", [run.name, "--set", f"data.test={json.dumps(source)}"], str(home)))
        _require_plain(done, [str(images)])
        effort.counted[f"evaluations with code {done.code}"] += 1
        assert sorted(os.listdir(home)) == ["checkpoints", "data"]
        assert len(content(home / "data")) == 1
        if done.code == 0:
            assert [path.parent.parent.parent.parent for path in run.rglob("summary.json")] == [run]
        shutil.rmtree(home)
