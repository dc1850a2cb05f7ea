"""Slow work of a panel: in a thread, with a line, and the last choice counts."""

import subprocess
import sys
import threading
from collections.abc import Callable

import ipywidgets as widgets
import pytest

from fpnkit.foundation.steps import Step, Tell
from fpnkit.widgets.common.panel import Panel
from fpnkit.widgets.common.work import Show, Work
from tests.support.panel_tools import Held
from tests.support.run_processes import until

PATIENCE = 30


class Slow(Panel):
    """Its button starts work that is held."""

    def __init__(self, held: Held, *, lasting: bool = False) -> None:
        super().__init__("Slow")
        self.held, self.number, self.shown = held, 0, list[int]()
        self.task: Work = self.work("count", lasting=lasting)
        self.click = self.button("Count", "count", self.count)
        self.out = widgets.HTML()
        self.task.replaces = [self.out]
        self.show([self.click, self.task, self.out])

    def count(self) -> None:
        self.number += 1
        number = self.number
        self.task.ask(lambda tell: self.job(number, tell))

    def job(self, number: int, tell: Tell) -> Show:
        tell(Step("counting", number, 9))
        self.held()
        tell(Step("telling"))
        return lambda: self.shown.append(number)


def test_a_click_returns_while_the_work_is_held_and_the_line_says_it(held: Held) -> None:
    panel = Slow(held)
    panel.click.click()
    assert held.reached(PATIENCE)
    until(lambda: 'role="status"' in panel.task.said)
    assert ">counting<" in panel.task.said
    assert "2 of 9" in panel.task.said
    assert "fpnkit-old" in panel.out._dom_classes
    assert panel.shown == []
    held.go()
    panel.finish()
    assert panel.shown == [1]
    assert panel.task.said == ""
    assert "fpnkit-old" not in panel.out._dom_classes


def test_the_last_choice_counts_and_the_one_before_it_ends_at_its_next_step(held: Held) -> None:
    panel = Slow(held)
    for _ in range(4):
        panel.click.click()
        assert held.reached(PATIENCE)
    held.go()
    panel.raise_failures()
    assert panel.shown == [4]
    assert held.entered == 2  # the second and third never began


def test_a_handler_runs_while_the_work_is_held(held: Held) -> None:
    panel = Slow(held)
    clicked = threading.Event()
    other = panel.button("Other", "other", clicked.set)
    panel.click.click()
    assert held.reached(PATIENCE)
    other.click()
    assert clicked.is_set()


def test_what_the_work_raises_is_a_failure_of_the_action(held: Held) -> None:
    panel = Slow(held)
    panel.task.ask(lambda tell: 1 / 0)  # type: ignore[arg-type, return-value]
    panel.finish()
    assert list(panel.failures) == ["count"]
    held.go()
    panel.click.click()
    panel.raise_failures()
    assert panel.shown == [1]


@pytest.mark.parametrize("lasting", [False, True])
def test_a_closed_panel_ends_work_unless_it_was_to_be_done_anyway(held: Held, lasting: bool) -> None:
    panel = Slow(held, lasting=lasting)
    told, ended = [], threading.Event()

    def job(tell: Tell) -> None:
        try:
            tell(Step("one"))
            held()
            tell(Step("two"))
            told.append("two")
        finally:
            ended.set()

    panel.task.ask(job)
    assert held.reached(PATIENCE)
    panel.close()
    held.go()
    assert ended.wait(PATIENCE)
    assert told == (["two"] if lasting else [])
    panel.task.ask(job)  # nothing begins any more
    panel.finish()
    assert held.entered == 1


def test_no_thread_is_left(held: Held) -> None:
    before = threading.active_count()
    held.go()
    panel = Slow(held)
    for _ in range(20):
        panel.click.click()
        panel.finish()
    assert panel.shown == list(range(1, 21))
    until(lambda: threading.active_count() <= before)


def test_finish_waits_for_work_that_other_work_asks_for(held: Held) -> None:
    panel, second = Slow(held), list[str]()
    other: Callable[[], None] = panel.count
    held.go()
    first = panel.work("first")

    def chain() -> None:
        second.append("asked")
        other()

    first.ask(lambda tell: chain)
    panel.finish()
    assert (second, panel.shown) == (["asked"], [1])


_LEAVING = """
import time
from fpnkit.foundation.steps import Step
from fpnkit.widgets.common.panel import Panel

def pack(tell):
    time.sleep(0.5)
    tell(Step("packing"))
    print("packed")

def load(tell):
    while True:
        tell(Step("loading"))
        time.sleep(0.01)

panel = Panel("t")
panel.work("archive", lasting=True).ask(pack)
panel.work("show").ask(load)
"""


def test_when_the_process_ends_what_must_be_done_is_done_and_other_work_ends() -> None:
    done = subprocess.run([sys.executable, "-c", _LEAVING], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "packed\n", "")
