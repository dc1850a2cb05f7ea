"""Work beside a panel: one job at a time, the last one asked for."""

import threading
import time

import pytest

from fpnkit.widgets.common.background import Background


def test_a_result_is_had_once() -> None:
    work = Background[int]("add")
    assert not work.wait(0)
    work.ask(lambda: 1 + 1)
    assert work.wait(10)
    assert work.ready
    assert work.result() == 2
    assert not work.ready
    assert not work.wait()  # nothing was asked for: no waiting


def test_what_a_job_raises_is_raised_where_its_result_is_taken() -> None:
    work = Background[float]("divide")
    work.ask(lambda: 1 / 0)
    assert work.wait(10)
    with pytest.raises(ZeroDivisionError):
        work.result()
    work.ask(lambda: 1.0)
    assert work.wait(10)
    assert work.result() == 1.0


def test_of_what_is_asked_for_meanwhile_only_the_last_is_done() -> None:
    work, going, done = Background[str]("write"), threading.Event(), list[str]()

    def job(name: str) -> str:
        going.wait(10)
        done.append(name)
        return name

    for name in ("first", "second", "third"):
        work.ask(lambda name=name: job(name))  # type: ignore[misc]
        time.sleep(0.05)  # for the first to begin
    assert not work.wait(0.05)
    going.set()
    assert work.wait(10)
    assert work.result() == "third"
    assert done == ["first", "third"]


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    work = Background[None]("nothing")
    for _ in range(20):
        work.ask(lambda: None)
        assert work.wait(10)
        work.result()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
