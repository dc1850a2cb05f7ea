"""Commands about the same runs at the same moment: each run is whole in one place, and losers are told in a line."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fpnkit.runs import layout
from tests.support.effort import Effort, sizes
from tests.support.fault_config import OF_RUNS, base_dir
from tests.support.forks import Command, Done, Forks
from tests.support.run_dirs import content, write_run
from tests.support.wholeness import assert_whole

NAMES = ("run_a", "run_b")
READING = ([], ["--json"], ["--show-details", "run_a"], ["diff", "run_a", "run_b"], ["restore"])
MOVING = (["archive"], ["trash"], ["restore"], ["purge", "--yes"], ["prune", "--keep-best", "1", "--yes"])
WRITING = (["note"], ["tag"])


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(tmp_path_factory.mktemp("forks"), *OF_RUNS) as made:
        yield made


def _racers(generator: random.Random) -> list[list[str]]:
    """Several commands, most of which want the same run."""

    def one() -> list[str]:
        kind = generator.random()
        if kind < 0.15:
            return generator.choice(READING)
        name = generator.choice((NAMES[0], NAMES[0], NAMES[1]))
        if kind < 0.25:
            return [*generator.choice(WRITING), name, "text"]
        words = generator.choice(MOVING)
        return words if words[0] in ("purge", "prune") else [*words, name]

    racers = [one() for _ in range(generator.randint(2, 5))]
    if generator.random() < 0.4:  # all the same
        return [racers[0]] * len(racers)
    return racers


def _begin(home: Path, generator: random.Random) -> dict[str, dict[str, bytes]]:
    """Two runs, one of them perhaps in the trash → their contents."""
    base = base_dir(home)
    contents = {}
    for name in NAMES:
        path = write_run(base, name)
        (path / "data.bin").write_bytes(generator.randbytes(generator.choice((1000, 1_000_000))))
        (path / layout.ENV).mkdir()
        (path / layout.ENV / "packages.txt").write_text(name)
        contents[name] = content(path)
    if generator.random() < 0.4:
        folder = base / layout.TRASH / "20261216_143022"
        folder.mkdir(parents=True)
        (base / NAMES[0]).rename(folder / NAMES[0])
    return contents


def _copies(home: Path, name: str) -> list[dict[str, bytes]]:
    """What there is of a run, in all places, without what was written meanwhile: note, tags, and how they begin."""
    base, found = base_dir(home), []
    for place in (base / name, *(base / layout.TRASH).glob(f"*/{name}")):
        if place.exists():
            found.append(content(place))
    for archive in (base / layout.ARCHIVE).glob(f"{name}*.tar.gz"):
        shutil.unpack_archive(archive, home / "unpacked", filter="tar")
        found.append(content(home / "unpacked" / name))
        shutil.rmtree(home / "unpacked")
    return [
        {path: data for path, data in each.items() if path not in (layout.NOTE, layout.TAGS) and path[-4:] != ".tmp"}
        for each in found
    ]


def _require_told(done: Done, command: list[str]) -> None:
    assert done.code in (0, 1, 2), (command, done)
    assert "Traceback" not in done.err, (command, done.err)
    assert (done.code == 0) or done.err.count("\n") >= 1, (command, done)


@sizes("races", sample=25, long=10_000)
def test_each_run_is_whole_in_one_place_whoever_comes_first(effort: Effort, forks: Forks, tmp_path: Path) -> None:
    for number, numbers in enumerate(effort.attempts()):
        home = tmp_path / str(number)
        before = _begin(home, numbers)
        racers = _racers(numbers)
        delays = [numbers.choice((0.0, numbers.uniform(0, 0.02))) for _ in racers]
        ends = forks.run(*map(lambda words, delay: Command("runs", words, str(home), delay=delay), racers, delays))
        for done, words in zip(ends, racers, strict=True):
            _require_told(done, words)
            effort.counted[f"commands with code {done.code}"] += 1
        assert_whole(home)
        purged = any(words[0:1] == ["purge"] and done.code == 0 for words, done in zip(racers, ends, strict=True))
        for name in NAMES:
            copies = _copies(home, name)
            assert all(copy == before[name] for copy in copies), (racers, ends)
            assert len(copies) == 1 or (len(copies) == 0 and purged), (racers, ends)
        shutil.rmtree(home)
