"""Commands of fpnkit in processes that are forked from one which has loaded everything: a start costs 20 ms.

python -m tests.support.forks FOLDER [MODULE…]

Loads the modules, then reads jobs from stdin, a JSON list in each line, starts all of a list at once, and answers with
what became of them. What a command itself starts is a process as ever; it is killed with the command.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

import psutil

from tests.support import ROOT, warm

HANGS = 120.0  # seconds; no command of a test takes so long


@dataclass(frozen=True)
class Command:
    """`python -m fpnkit.MODULE ARGUMENTS`, perhaps with an end that it does not choose."""

    module: str
    arguments: Sequence[str]
    home: str
    kill_after: float | None = None  # seconds
    delay: float = 0.0  # seconds before it begins
    roomy: bool = False  # it is told that there is room on every disk
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    code: int  # as of `subprocess`: -9 if it was killed
    seconds: float
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Forks:
    """The process that forks; of no use to two threads."""

    def __init__(self, folder: Path, *modules: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "tests.support.forks", str(folder), *modules]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        pipe = subprocess.PIPE
        self._process = warm.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
        assert self._answer() == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def run(self, *commands: Command) -> list[Done]:
        """All at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([asdict(command) for command in commands]) + "\n")
        self._process.stdin.flush()
        return [Done(**facts) for facts in self._answer()]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return json.loads(line)


def main(folder: Path, modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(folder, [Command(**facts) for facts in json.loads(line)])), file=answers, flush=True)


def _run(folder: Path, commands: Sequence[Command]) -> list[dict[str, Any]]:
    start = time.monotonic()
    pids = [_fork(command, folder / str(number)) for number, command in enumerate(commands)]
    waiting = {os.pidfd_open(pid): number for number, pid in enumerate(pids)}
    codes, seconds, killed = {}, {}, set()
    while waiting:
        now = time.monotonic() - start
        ends = {fd: _end(commands[number], killed, number) for fd, number in waiting.items()}
        for fd in select.select(list(waiting), [], [], max(0.0, min(ends.values()) - now))[0]:
            number = waiting.pop(fd)
            os.close(fd)
            codes[number] = os.waitstatus_to_exitcode(os.waitpid(pids[number], 0)[1])
            seconds[number] = time.monotonic() - start
        for fd, number in waiting.items():
            if time.monotonic() - start >= ends[fd] and number not in killed:
                killed.add(number)
                os.kill(pids[number], signal.SIGKILL)
    for number, command in enumerate(commands):
        if command.kill_after is not None and number in killed:
            _kill_what_it_started(folder / f"{number}.started")
        elif number in killed:
            raise AssertionError(f"a command hung for {HANGS} s: {command}")
    results = []
    for number in range(len(commands)):
        out, err = ((folder / f"{number}{what}").read_text("utf-8", "replace") for what in (".out", ".err"))
        results.append({"code": codes[number], "seconds": seconds[number], "out": out, "err": err})
    return results


def _end(command: Command, killed: set[int], number: int) -> float:
    """Seconds after the start at which somebody has to look again."""
    if number in killed:
        return 3600.0
    return HANGS if command.kill_after is None else command.kill_after


def _fork(command: Command, output: Path) -> int:
    pid = os.fork()
    if pid == 0:
        _become(command, output)
    return pid


def _become(command: Command, output: Path) -> NoReturn:
    code: object = 1
    started = Path(f"{output}.started")
    try:
        os.setsid()
        started.write_text("")
        subprocess.Popen = _noting(started)  # type: ignore[misc]
        for fd, suffix in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(f"{output}{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update({"FPNKIT_HOME": command.home, **command.env})
        os.chdir(command.home)
        name = f"fpnkit.{command.module}"
        sys.argv = [name, *command.arguments]
        sys.orig_argv = [sys.executable, "-m", name, *command.arguments]
        if command.roomy:
            usage = shutil.disk_usage("/")._replace(free=10**12)
            shutil.disk_usage = lambda path: usage  # type: ignore[assignment]
        time.sleep(command.delay)
        module = importlib.import_module(name)
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"{name}.__main__")
        code = module.main(list(command.arguments))
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _noting(path: Path) -> type[subprocess.Popen[Any]]:
    """Processes whose ids are written down."""

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            with path.open("a") as file:
                file.write(f"{self.pid}\n")

    return Noted


def _kill_what_it_started(path: Path) -> None:
    """As when a machine goes down."""
    for pid in map(int, path.read_text().split()):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.kill()
            process.wait(10)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
