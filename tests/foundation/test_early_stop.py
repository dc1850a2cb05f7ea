"""An interrupt before there is anything to save: a real signal to this process."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fpnkit.foundation.signals import EarlyStop


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """What was there before stands again after each test."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) == before


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # the handler runs between two instructions
        pass


def half_imported() -> None:
    try:
        interrupt()
    except KeyboardInterrupt:
        raise ImportError("half imported") from None


def test_one_that_is_swallowed_is_raised_again_at_the_next_check() -> None:
    with EarlyStop() as early:
        early.check()
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        with pytest.raises(KeyboardInterrupt):
            early.check()


def test_one_of_which_a_library_made_another_error_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), EarlyStop():
        half_imported()
    with pytest.raises(ImportError), EarlyStop():
        raise ImportError("of its own")


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with EarlyStop() as early:
            interrupt()
            early.check()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_changed() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter() -> None:
        with EarlyStop():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
