"""Work in several processes at once, whose results come in the order of the tasks.

Processes of their own, not `multiprocessing`: they import nothing of what started this one, share no memory, files or
threads with it, and end by themselves when it ends in whatever way.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import fpnkit
from fpnkit.errors import FpnkitError

_AHEAD = 4  # tasks a worker that may be given out before the oldest of them is done

Task = TypeVar("Task")
Result = TypeVar("Result")


class LostWorkerError(FpnkitError):
    """A worker ended before its work did."""


def in_order(
    make: Callable[[], Callable[[Task], Result]], tasks: Iterable[Task], workers: int
) -> Generator[Result, None, None]:
    """`make()(task)` of each task, in their order; `make` is called once in each worker.

    Tasks are asked for no earlier than needed. `make`, tasks and results have to be picklable. Raises what a task
    raises, and `LostWorkerError`. The workers end with the iterator, which has to be closed if it is left early.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        idle = [stack.enter_context(_Worker(make)) for _ in range(workers)]
        for worker in idle:
            selector.register(worker, selectors.EVENT_READ)
        left, results = enumerate(tasks), dict[int, Result]()
        given, next_one = 0, 0
        while True:
            room = next_one + _AHEAD * workers - given
            for number, task in itertools.islice(left, min(len(idle), room)):
                idle.pop().give(number, task)
                given += 1
            if next_one in results:
                yield results.pop(next_one)
                next_one += 1
                continue
            if next_one == given:  # and all workers were idle: there are no more tasks
                return
            for key, _ in selector.select():
                assert isinstance(key.fileobj, _Worker)
                number, result = key.fileobj.take()
                results[number] = result
                idle.append(key.fileobj)


class _Worker:
    """A process that runs `fpnkit.foundation.worker`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        package = str(Path(fpnkit.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "fpnkit.foundation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, **one_thread},
            start_new_session=True,  # Ctrl-C on a terminal is for the process that gives the tasks
        )
        self._send(sys.path)
        self._send(pickle.dumps(make))  # as bytes, which are read at once, whatever has to be imported for them

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # it holds nothing that is not complete or done again
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def fileno(self) -> int:
        """Readable when there is a result, or never will be."""
        return self._results.fileno()

    def give(self, number: int, task: object) -> None:
        """Begin a task."""
        self._send((number, task))

    def take(self) -> tuple[int, Any]:
        """Number and result of the task. Raises what it raised."""
        try:
            number, result, error = pickle.load(self._results)
        except (EOFError, pickle.UnpicklingError):
            raise self._lost() from None
        if error is not None:
            raise error
        return number, result

    @property
    def _results(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _send(self, value: object) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(value, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._lost() from None

    def _lost(self) -> LostWorkerError:
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = ", most likely because memory ran out: fewer workers need less" if code == -signal.SIGKILL else ""
        return LostWorkerError(f"worker process {self._process.pid} {how}{why}")
