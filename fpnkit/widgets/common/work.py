"""Work of a panel that takes long: in a thread, with a line that says how far it is."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets as widgets

from fpnkit.foundation.steps import Step, StepClock, Tell
from fpnkit.widgets.common import html

Show = Callable[[], None]
Job = Callable[[Tell], Show | None]

_SILENT_SECONDS = 0.3  # of work that needs no words
_TICK_SECONDS = 0.5
_OLD = "fpnkit-old"
_LINE = "26px"
_PATIENCE_SECONDS = 20.0  # with the step of a job, when the process ends

_busy: set[Work] = set()


class Superseded(BaseException):
    """Raised by `Tell` in a job that nobody waits for any more. Not an Exception: no handler may keep it."""


class Owner(Protocol):
    """A `Panel`."""

    acting: Any  # a lock: handlers and results run one at a time

    def attempt(self, action: str, handler: Callable[[], None]) -> bool:
        """Run the handler and show its failure."""


class Work(widgets.HBox):
    """One job at a time; of those asked for meanwhile only the last one runs, and the one in progress ends at its
    next step.

    A job runs in a thread and must not change controls. What it returns is run like a handler of a control and shows
    its result; what it raises is shown as a failure of `action`. `Panel.work` makes one.
    """

    def __init__(self, panel: Owner, action: str, *, lasting: bool) -> None:
        """`lasting`: a job always runs to its end."""
        self.action = action
        self.replaces: Sequence[widgets.DOMWidget] = ()  # pale while the line is there
        self._panel, self._lasting = panel, lasting
        self._state = threading.Condition()
        self._job: Job | None = None  # to run next
        self._busy = self._closed = self._quiet = False
        self._clock = StepClock()
        # Apart, so that a screen reader says a step once, and not each second that passes.
        self._step, self._timing = widgets.HTML(), widgets.HTML()
        row = {"flex_flow": "row wrap", "grid_gap": "0 4px", "min_height": _LINE}  # so that nothing moves when it comes
        super().__init__([self._step, self._timing], layout=row)

    def ask(self, job: Job, *, quiet: bool = False) -> None:
        """Run this job, and no other that has not ended. `quiet`: without a line, for what nobody asked for."""
        with self._state:
            if self._closed:
                return
            self._job, self._quiet = job, quiet
            if not self._busy:
                self._busy, self._clock = True, StepClock()
                _busy.add(self)
                threading.Thread(target=self._run, name=f"fpnkit {self.action}", daemon=True).start()
                threading.Thread(target=self._tick, name=f"fpnkit {self.action} line", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a job is running or its result not shown yet."""
        return self._busy

    @property
    def said(self) -> str:
        """The line, as HTML; empty if there is none."""
        return f"{self._step.value} {self._timing.value}".strip()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the last result is shown; → whether it is. Not for handlers, which the result waits for."""
        with self._state:
            return self._state.wait_for(lambda: not self._busy, seconds)

    def close(self) -> None:
        """What is done from now on is not shown; a job that is not lasting ends at its next step."""
        self._end()
        super().close()

    def _end(self) -> None:
        with self._state:
            self._closed = True
            if not self._lasting:
                self._job = None

    def _run(self) -> None:
        while True:
            with self._state:
                job, self._job = self._job, None
                if job is None:
                    self._busy = False
                    _busy.discard(self)
                    self._say("", "")
                    self._state.notify_all()
                    return
            self._do(job)

    def _do(self, job: Job) -> None:
        clock = self._clock = StepClock()

        def tell(step: Step) -> None:
            if not self._lasting and (self._closed or self._job is not None):
                raise Superseded
            clock.tell(step)

        show: Show | None = None
        try:
            show = job(tell)
            clock.end()
        except Superseded:
            return
        except Exception as error:
            show = raising(error)
        with self._panel.acting:
            if self._lasting or (not self._closed and self._job is None):
                self._panel.attempt(self.action, show or raising(None))

    def _tick(self) -> None:
        pause = _SILENT_SECONDS
        with self._state:
            while not self._state.wait_for(lambda: not self._busy, pause):
                step = self._clock.step
                if step is not None and not self._closed and not self._quiet:
                    self._say(step.words, self._clock.timing())
                pause = _TICK_SECONDS

    def _say(self, what: str, timing: str) -> None:
        if self._closed:
            return
        self._step.value = html.status(what) if what else ""
        self._timing.value = html.paragraph(timing, pale=True) if timing else ""
        for widget in self.replaces:
            if what:
                widget.add_class(_OLD)
            else:
                widget.remove_class(_OLD)


@atexit.register
def _end_all() -> None:
    """A thread that is cut off inside of torch ends the process with an error."""
    works = list(_busy)
    for work in works:
        work._end()
    for work in works:
        work.wait(None if work._lasting else _PATIENCE_SECONDS)


def raising(error: Exception | None) -> Show:
    """What raises this, if anything."""

    def show() -> None:
        if error is not None:
            raise error

    return show
