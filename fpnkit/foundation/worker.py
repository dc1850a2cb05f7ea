"""A process that does what `workers.in_order` gives it, until whoever started it ends: stdin → stdout.

It says nothing: what is worth saying was said by the process that opened the same things before.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from fpnkit.errors import FpnkitError


def main() -> None:
    """Serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # where others' code may print
    threading.Thread(target=_end_with, args=[tasks.fileno()], daemon=True).start()
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    sys.path[:] = pickle.load(tasks)
    content = pickle.load(tasks)
    work: Callable[[Any], Any] | None = None
    while True:
        try:
            number, task = pickle.load(tasks)
        except EOFError:
            return
        result = error = None
        try:
            work = pickle.loads(content)() if work is None else work
            result = work(task)
        except Exception as raised:
            error = _portable(raised)
        pickle.dump((number, result, error), results)
        results.flush()


def _end_with(pipe: int) -> None:
    """In the middle of a task as well."""
    poll = select.poll()
    poll.register(pipe, 0)  # hears only that nobody can write any more
    while not any(event & select.POLLHUP for _, event in poll.poll()):
        pass
    os._exit(0)


def _portable(error: Exception) -> Exception:
    """Itself, with where it came from unless it says all; another one of the same text if it cannot be sent."""
    if not isinstance(error, FpnkitError):
        error.add_note("".join(traceback.format_exception(error)).rstrip())
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        pass
    return FpnkitError(str(error) if isinstance(error, FpnkitError) else f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
