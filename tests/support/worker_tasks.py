"""Work for the workers of tests: python -m tests.support.worker_tasks FOLDER gives two of them tasks without end."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fpnkit.foundation.workers import in_order


def uneven() -> Callable[[int], int]:
    """Squares; what comes first takes longest, and everything prints."""
    print("a worker begins")

    def square(number: int) -> int:
        print("a task", number)
        time.sleep(0.1 if number % 7 == 0 else 0)
        return number**2

    return square


def brittle() -> Callable[[int], int]:
    """Dies of 3, and cannot do 5."""

    def inverse(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return 60 // (5 - number)

    return inverse


def endless() -> Callable[[Path], None]:
    """Leaves its process id in a folder and works on."""

    def work(folder: Path) -> None:
        (folder / f"{os.getpid()}").touch()
        while True:
            time.sleep(0.1)

    return work


if __name__ == "__main__":
    from tests.support.worker_tasks import endless as found_by_workers

    list(in_order(found_by_workers, [Path(sys.argv[1])] * 2, 2))
