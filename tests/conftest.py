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


def pytest_configure() -> None:
    """Before the processes that share the work are started."""
    store.reserve()
    leaks.mark()


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
