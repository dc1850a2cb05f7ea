"""Would the tests notice? Small breaks of the code, one at a time, in a copy of this folder, and the tests run on each.

    python -m tests.support.mutants metrics ratedist --count 40 --seed 17

The breaks are those of cosmic-ray: another operator, another number, a condition turned round, a loop or a decorator
left out. A sample depends on the seed, the code of the room and cosmic-ray's version alone. Tests that run the broken
line go first, the quickest of them before all; files of tests that neither run it nor start processes are left out.
`--numbers 3 7` tries these of a sample again.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import psutil
import pytest

from tests.support import ROOT

# What a room's own tests are; those of other rooms would notice more, but a room should be held by its own.
TESTS = {
    "anchors": ["tests/anchors"],
    "codecs": ["tests/codecs", "tests/bitstream"],
    "container": ["tests/bitstream"],
    "evaluation": ["tests/evaluation", "tests/evaluate"],
    "metrics": ["tests/metrics"],
    "ratedist": ["tests/ratedist", "tests/rd"],
    "runs": ["tests/runs"],
    "training": ["tests/training", "tests/train", "tests/parallel"],
}
PLAN = Path("mutants.json")  # in the copy: for each line of the room its tests, and the seconds of each test
MARKS = "not slow and not benchmark and not slurm"
STARTS = {"subprocess.Popen", "os.fork", "os.posix_spawn", "socket.connect"}  # the last: a warm process
Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One break of one file."""

    path: Path
    line: int
    operator: str
    occurrence: int

    def code(self) -> str | None:
        """The broken file."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        code: str | None = mutate_code(self.path.read_text(), get_operator(self.operator)(), self.occurrence)
        return code


def sources(room: str) -> list[Path]:
    """Of a folder or a file of fpnkit."""
    path = Path("fpnkit", room)
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def annotations(code: str) -> list[tuple[Place, Place]]:
    """Where they begin and end: nothing happens when they are broken."""
    found = [getattr(node, name, None) for node in ast.walk(ast.parse(code)) for name in ("annotation", "returns")]
    return [((e.lineno, e.col_offset), (e.end_lineno, e.end_col_offset)) for e in found if e is not None]


def mutants(path: Path) -> dict[Place, list[Mutant]]:
    """Place → what can be broken there."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    code, found = path.read_text(), dict[Place, list[Mutant]]()
    nodes, without_effect = list(ast_nodes(get_ast(code))), annotations(code)
    for name in sorted(operator_names()):
        if get_operator(name).arguments():  # of names that the caller would have to give
            continue
        operator = get_operator(name)()
        places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if not any(start <= place < end for start, end in without_effect):
                found.setdefault(place, []).append(Mutant(path, place[0], name, occurrence))
    return found


def sample(room: str, count: int, seed: int) -> list[Mutant]:
    """At random places, one break at each. The first do not depend on `count`."""
    chosen = random.Random(f"{seed} {room}")
    places = [each for path in sources(room) for _, each in sorted(mutants(path).items())]
    chosen.shuffle(places)
    return [random.Random(f"{seed} {room} {n}").choice(each) for n, each in enumerate(places[:count])]


class Recorder:
    """A plugin of pytest's: which lines each test runs, and how long it takes."""

    def __init__(self, files: Sequence[Path]) -> None:
        import coverage

        self.seconds, self.failed = Counter[str](), list[str]()
        self._now, self._starting = "", set[str]()
        sys.addaudithook(self._audit)
        self._files = files
        self._coverage = coverage.Coverage(data_file=None, include=[str(path) for path in files])

    def _audit(self, event: str, _: object) -> None:
        if event in STARTS:
            self._starting.add(file_of(self._now))

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._coverage.switch_context(nodeid)
        self._now = nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {str(path): data.contexts_by_lineno(str(path.resolve())) for path in self._files}
        found = {"lines": lines, "seconds": self.seconds, "failed": self.failed, "starting": sorted(self._starting)}
        PLAN.write_text(json.dumps(found))


class Sorter:
    """A plugin of pytest's: the tests that run a line first, the quickest of them before all."""

    def __init__(self, path: Path, line: int) -> None:
        plan = json.loads(PLAN.read_text())
        contexts = plan["lines"][str(path)].get(str(line), [""])
        self._near = set(contexts)
        self._files = {file_of(nodeid) for nodeid in (*contexts, *plan["starting"])}
        self._all = contexts == [""]  # what runs when a file is imported, or only in other processes
        self._seconds = plan["seconds"]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if self._all or file_of(item.nodeid) in self._files]
        items.sort(key=lambda item: (item.nodeid not in self._near, self._seconds.get(item.nodeid, 0)))


def file_of(nodeid: str) -> str:
    """Tests of one file may share what one of them made."""
    return nodeid.partition("::")[0]


def run_pytest(room: str, plugin: object) -> int:
    """In this process, which was forked from the warm server; what tests start is real unless they say otherwise."""
    from tests.support import warm

    subprocess.Popen = warm._cold  # type: ignore[misc]
    options = ["-x", "-q", "-p", "no:xdist", "-p", "no:nbval", "-p", "no:cacheprovider", "-m", MARKS, "--tb=line"]
    if isinstance(plugin, Recorder):
        options.remove("-x")
    return int(pytest.main([*options, *TESTS[room]], plugins=[plugin]))


def in_warm_process(arguments: Sequence[str], limit_s: float | None) -> tuple[int | None, str]:
    """(exit code, output); None: it did not end in time, and was ended with all that it had started."""
    from tests.support import warm

    command = [sys.executable, "-m", "tests.support.mutants", *arguments]
    with (
        tempfile.TemporaryFile("w+") as output,
        warm.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            code: int | None = process.wait(limit_s)
        except BaseException as error:
            for each in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
                each.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            code = None
        output.seek(0)
        return code, output.read()


def attempt(room: str, mutant: Mutant, limit_s: float) -> tuple[str, str]:
    """(what came of it, the broken lines); the file is as before when this ends."""
    before, broken = mutant.path.read_text(), mutant.code()
    assert broken is not None
    difference = "\n".join(line for line in unified_diff(before.split("\n"), broken.split("\n"), n=0, lineterm=""))
    try:
        mutant.path.write_text(broken)
        code, output = in_warm_process(["--sorted", room, str(mutant.path), str(mutant.line)], limit_s)
    finally:
        mutant.path.write_text(before)
    assert code != pytest.ExitCode.NO_TESTS_COLLECTED, output
    if code == 0:
        return "NOT NOTICED", difference
    if code is None:
        return "noticed: did not end in time", difference
    said = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return f"noticed: {said[0][:150] if said else f'exit {code}'}", difference


def try_room(room: str, given: argparse.Namespace) -> None:
    """Record, then break."""
    began = time.monotonic()
    code, output = in_warm_process(["--record", room], None)
    plan = json.loads(PLAN.read_text()) if PLAN.exists() else {}
    if code or plan.get("failed"):
        sys.exit(f"{room}: required tests that pass on unbroken code, found\n{output[-3000:]}")
    seconds = time.monotonic() - began
    print(f"{room}: {len(plan['seconds'])} tests, {seconds:.0f} s", flush=True)
    noticed, tried, last_start = 0, 0, time.monotonic() + 60 * given.minutes
    for number, mutant in enumerate(sample(room, given.count, given.seed)):
        if given.numbers and number not in given.numbers:
            continue
        began = time.monotonic()
        if began > last_start:
            break
        result, difference = attempt(room, mutant, 60 + 3 * seconds)
        tried, noticed = tried + 1, noticed + (result != "NOT NOTICED")
        print(f"{room} {number}: {time.monotonic() - began:.0f} s, {mutant.path}:{mutant.line}, {result}", flush=True)
        print("\n".join(f"    {line}" for line in difference.splitlines()[3:]), flush=True)
    print(f"{room}: seed {given.seed}, {tried} mutants, {noticed} noticed, {tried - noticed} not", flush=True)


def copied_files() -> Iterator[Path]:
    """What git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    yield from (Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


def in_copy(arguments: Sequence[str]) -> int:
    """The same command in a copy, so that nothing here is ever broken."""
    with tempfile.TemporaryDirectory(prefix="fpnkit_mutants_") as folder:
        for path in copied_files():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "tests.support.mutants", "--here", *arguments]
        with subprocess.Popen(command, cwd=folder, env=environment) as process:
            try:
                return process.wait()
            finally:
                process.terminate()  # does nothing to one that has ended


def main(arguments: Sequence[str]) -> int:
    """The command, and what it starts."""
    if arguments[:1] == ["--record"]:
        return run_pytest(arguments[1], Recorder(sources(arguments[1])))
    if arguments[:1] == ["--sorted"]:
        return run_pytest(arguments[1], Sorter(Path(arguments[2]), int(arguments[3])))
    parser = argparse.ArgumentParser(prog="python -m tests.support.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("rooms", nargs="+", choices=sorted(TESTS), metavar="ROOM", help=", ".join(sorted(TESTS)))
    parser.add_argument("--count", type=int, default=35, help="of each room")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--minutes", type=float, default=math.inf, help="of each room; no mutant begins later")
    parser.add_argument("--numbers", type=int, nargs="+", default=[], help="only these of the sample")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what was started, removes the copy
    try:
        if not given.here:
            return in_copy(arguments)
        for room in given.rooms:
            try_room(room, given)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
