import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import leaks, store, warm

# Several tests run at a time, each in processes of their own: more threads than cores would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples every time, and no timing: a failure is one of the code, not of the day or the machine.
settings.register_profile("fpnkit", derandomize=True, deadline=None)
settings.load_profile("fpnkit")

# A shell makes what it starts in the background ignore Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What takes longest, longest first: it must not be what one of two processes still does when the other has ended. The
# first makes the runs that many need; none of the next few needs them.
LONG = [
    "tests/notebooks/test_notebooks.py",
    "tests/analyze/",
    "tests/test_source.py",
    "tests/parallel/",
    "tests/train/",
    "tests/runs/test_run_faults.py",
    "tests/anchors/",
    "tests/launch/",
    "tests/sweep/",
    "tests/browser/",
    "tests/notebooks/test_other_homes.py",
    "notebooks/",
]


def pytest_configure(config: pytest.Config) -> None:
    """Before the processes that share the work are started."""
    store.reserve()
    leaks.mark()
    config.option.loadscopereorder = False  # pytest-xdist would begin with the files that have most tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first."""
    items.sort(key=lambda item: next((i for i, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG)))


def pytest_collection_finish() -> None:
    """Now all test modules are imported."""
    leaks.forget_what_stays()


@pytest.fixture(scope="module", autouse=True)
def _no_module_leaves_anything() -> Iterator[None]:
    """Processes, threads and open files; the first of all fixtures, so that it looks when the others are gone."""
    with leaks.none():
        yield


@pytest.fixture
def heard_hang_ups() -> Iterator[None]:
    """What the test starts hears SIGHUP, also where the tests were started by `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def warm_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code under test starts does not load torch either."""
    monkeypatch.setattr(subprocess, "Popen", warm.Popen)


@pytest.fixture
def real_data() -> Path:
    """The folder of real images, boxes and weights."""
    if "FPNKIT_DATA" not in os.environ:
        pytest.skip("needs real images and weights: set FPNKIT_DATA to their folder")
    return Path(os.environ["FPNKIT_DATA"])
