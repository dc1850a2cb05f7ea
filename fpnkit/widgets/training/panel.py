"""Start and watch trainings from a notebook; each is a process of its own that outlives the kernel.

from fpnkit.widgets import TrainingPanel

panel = TrainingPanel()
panel                          # choose, check, start; or attach to what runs already
panel.run.metrics()            # the run that is shown, for the cells below
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import ConfigError, RunError
from fpnkit.foundation.shipped import usual
from fpnkit.foundation.steps import Step, Tell
from fpnkit.launch.launchers import submit
from fpnkit.launch.request import Request
from fpnkit.launch.twins import twins
from fpnkit.launch.watch import Choice, running
from fpnkit.runs import layout
from fpnkit.runs.index import RunIndex
from fpnkit.runs.run import Run
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Confirmation, Panel
from fpnkit.widgets.common.work import Show
from fpnkit.widgets.training.live import LiveView
from fpnkit.widgets.training.setup import SetupView

# Between looks for what else runs; among thousands of runs a look takes long, and is then taken less often.
_LIST_SECONDS, _LIST_SHARE = 10.0, 0.01
_MOST_NAMED = 5


class TrainingPanel(Panel):
    """`configs` is a folder (default: the project's configs/); runs go to `base_dir` (default: the task's)."""

    def __init__(
        self,
        configs: Path | str | None = None,
        base_dir: Path | str | None = None,
        *,
        dark: bool | None = None,
        poll_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("Training", dark=dark)
        self._now, self._next_list = now, float("-inf")
        self._listing, self._starting = self.work("look for what runs"), self.work("start")
        self._shown: object = None  # at the last update
        self._base_dir = None if base_dir is None else Path(base_dir).absolute()
        kinds: tuple[layout.Kind, ...] = ("fpn_compression", "detection")
        places = [self._base_dir] if self._base_dir else [layout.default_base_dir(kind) for kind in kinds]
        self._places = [RunIndex(place) for place in places]
        folder = Path(os.path.abspath(usual(layout.home(), "configs") if configs is None else configs))
        self.start_button = self.button("Start", "start", self.ask_start, look="primary")
        self.confirmation = Confirmation(self)
        self.running = widgets.Dropdown(description="Running", style=LABEL, layout=WIDE)
        self._running = Choices(self, self.running, "choose", self._offer)
        self.attach_button = self.button("Attach", "attach", self.attach, tip="Show what is chosen")
        self.offer = widgets.HTML()
        self.live = LiveView(self, now)
        self.setup = SetupView(self, folder, self._base_dir, self._settings_changed)
        self._attaching = widgets.HBox([self.running, self.attach_button])
        buttons = [self.start_button, self.setup.check_button, self._starting, self.setup.checking]
        actions = widgets.HBox(buttons, layout={"flex_flow": "row wrap"})
        below = [actions, self.confirmation, self.setup.checked, self.live]
        self.show([self.offer, self._attaching, self.setup, *below])
        self.attempt("list configs", self.setup.list_configs)
        self.list_running()
        if poll_seconds > 0:
            self.poll("update", self.update, poll_seconds)

    @property
    def run(self) -> Run:
        """The run shown. Raises RunError if there is none or it has no directory yet."""
        self.live.wait()
        if self.live.seen is None or self.live.seen.run is None:
            raise RunError("no run is shown yet")
        return Run(self.live.seen.run)

    def update(self) -> None:
        """Update the display; called once a second by the poll thread."""
        self.setup.update()
        before, self._shown = self._shown, self.live.shown
        self.live.update()
        if (self._shown != before or self._now() >= self._next_list) and not self._listing.busy:
            self.list_running()

    def list_running(self) -> None:
        """Offer running trainings of the base directories, except the one shown, in the background."""
        self._listing.ask(self._find_running, quiet=True)

    def _find_running(self, tell: Tell) -> Show:
        began = self._now()
        found = [each for runs in self._places for each in running(runs.base_dir, _read(runs, tell))]
        seconds = self._now() - began

        def show() -> None:
            seen = self.live.seen
            shown = (self.live.watched, *((seen.run, seen.plan) if seen else ()))
            others = [each for each in found if each.path not in shown]
            self._next_list = self._now() + max(_LIST_SECONDS, seconds / _LIST_SHARE)
            first = others[0].path if others else None
            self._running.replace([(candidate.label, candidate.path) for candidate in others], otherwise=first)
            self._offer()

        return show

    def attach(self) -> None:
        """Show the selected running training. Raises RunError."""
        if self.running.value is None:
            raise RunError("nothing is running that could be attached to")
        self.live.watch(self.running.value)
        self.list_running()

    def ask_start(self) -> None:
        """Start, or ask first if the same is already running; looks for that in the background. Raises ConfigError."""
        self.setup.read()  # the file may have changed since
        request = self._request()
        self._starting.ask(lambda tell: self._find_same(request, tell))

    def _find_same(self, request: Request, tell: Tell) -> Show:
        tell(Step("looking for the same training among those that run"))
        same = twins(request)

        def show() -> None:
            if self._request() != request:
                raise ConfigError(["cannot start: the settings were changed meanwhile; press Start again"])
            if same:
                self._ask_twice(same)
            else:
                self.start()

        return show

    def start(self) -> None:
        """Start the requested training and show it. Raises ConfigError, RunError or StorageError."""
        request = self._request()
        self.setup.checked.value = ""
        launched = submit(request.arguments, request.base_dir, request.module)
        self.live.watch(launched.file)
        self.list_running()

    def redraw(self) -> None:
        """Redraw the curves in the other colors."""
        self.live.redraw()

    def _request(self) -> Request:
        if self.setup.request is None:
            raise ConfigError(["cannot start: see the problems shown below the settings"])
        return self.setup.request

    def _ask_twice(self, same: list[Choice]) -> None:
        names = ", ".join(candidate.label for candidate in same[:_MOST_NAMED])
        names += f" and {len(same) - _MOST_NAMED:,} more" if len(same) > _MOST_NAMED else ""
        question = f"The same training is already under way: {names}. Start another one?"
        self.confirmation.ask(question, "Yes, start another", "start", self.start, look="warning")

    def _settings_changed(self) -> None:
        self.start_button.disabled = self.setup.request is None
        self.confirmation.withdraw()  # it was about others

    def _offer(self) -> None:
        """Enable the buttons that apply to the selection."""
        count = len(self.running.options)
        self.attach_button.disabled = self.running.value is None
        self._attaching.layout.display = None if count else "none"
        shown = self.live.watched is not None
        told = f"{count} under way: attach to see {'it' if count == 1 else 'one of them'}." if count else ""
        told = "" if shown else told
        self.offer.value = html.paragraph(told) if told else ""


def _read(runs: RunIndex, tell: Tell) -> list[RunInfo]:
    """Nothing if the directory is missing or unreadable; starting reports why."""
    try:
        return runs.read(tell)
    except RunError:
        return []
