"""Starting trainings from a notebook, and watching them: each is a process of its own that outlives the kernel.

panel = TrainingPanel()
panel                          # choose, check, start; or attach to what runs already
panel.run.metrics()            # the run that is shown, for the cells below
"""

import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import ConfigError, RunError
from fpnkit.launch.local import start
from fpnkit.launch.watch import Candidate, running, twins
from fpnkit.runs import layout
from fpnkit.runs.run import Run
from fpnkit.widgets import html
from fpnkit.widgets.base import LABEL, Choices, Confirmation, Panel
from fpnkit.widgets.training_live import LiveView
from fpnkit.widgets.training_setup import Preflight, SetupView

_LIST_SECONDS = 10.0  # between looks for what else runs


class TrainingPanel(Panel):
    """`configs` is a folder, by default configs/ of the project; runs go to `base_dir`, by default that of the task."""

    def __init__(
        self,
        configs: Path | str | None = None,
        base_dir: Path | str | None = None,
        *,
        dark: bool = False,
        poll_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._preflight = Preflight()
        super().__init__("Training", dark=dark)
        self._now, self._listed = now, float("-inf")
        self._base_dir = None if base_dir is None else Path(base_dir).absolute()
        folder = layout.home() / "configs" if configs is None else Path(configs)
        self.start_button = self.button("Start", "start", self.ask_start, look="primary")
        self.confirmation = Confirmation(self)
        self.running = widgets.Dropdown(description="Running", style=LABEL, layout={"flex": "1 1 auto"})
        self._running = Choices(self, self.running, "choose", self._offer)
        self.attach_button = self.button("Attach", "attach", self.attach, tip="Show what is chosen")
        self.offer = widgets.HTML()
        self.live = LiveView(self, now)
        self.setup = SetupView(self, self._preflight, folder.absolute(), self._base_dir, self._settings_changed)
        self._attaching = widgets.HBox([self.running, self.attach_button])
        actions = widgets.HBox([self.start_button, self.setup.check_button])
        below = [actions, self.confirmation, self.setup.checked, self.live]
        self.show([self.offer, self._attaching, self.setup, *below])
        self.attempt("list configs", self.setup.list_configs)
        self.attempt("look for what runs", self.list_running)
        if poll_seconds > 0:
            self.poll("update", self.update, poll_seconds)

    @property
    def run(self) -> Run:
        """The run that is shown. Raises RunError if there is none, or it has no directory yet."""
        if self.live.seen is None or self.live.seen.run is None:
            raise RunError("no run is shown yet")
        return Run(self.live.seen.run)

    def update(self) -> None:
        """Show what has changed since the last time; the poll thread does it once a second."""
        self.setup.update()
        if self._now() - self._listed >= _LIST_SECONDS:
            self.list_running()
        self.live.update()

    def list_running(self) -> None:
        """Offer what runs in the base directories."""
        self._listed = self._now()
        places = (
            [self._base_dir]
            if self._base_dir
            else [layout.default_base_dir("fpn_compression"), layout.default_base_dir("detection")]
        )
        found = [candidate for place in places for candidate in running(place)]
        first = found[0].path if found else None
        self._running.replace([(candidate.label, candidate.path) for candidate in found], otherwise=first)
        self._offer()

    def attach(self) -> None:
        """Show what is chosen among what runs. Raises RunError."""
        if self.running.value is None:
            raise RunError("nothing runs that could be attached to")
        self.live.watch(self.running.value)
        self._offer()

    def ask_start(self) -> None:
        """Start, or ask first where the same runs already. Raises ConfigError."""
        request = self.setup.request
        if request is None:
            raise ConfigError(["nothing can be started: the settings are not complete"])
        same = twins(request)
        if same:
            self._ask_twice(same)
        else:
            self.start()

    def start(self) -> None:
        """Start what the settings say, and show it. Raises ConfigError, RunError or StorageError."""
        request = self.setup.request
        if request is None:
            raise ConfigError(["nothing can be started: the settings are not complete"])
        self.setup.checked.value = ""
        launched = start(request.arguments, request.base_dir, request.module)
        self.live.watch(launched.file)
        self.list_running()

    def redraw(self) -> None:
        """Draw the curves again, in the other colours."""
        self.live.redraw()

    def close(self) -> None:
        """Take the panel off the page; what it started goes on."""
        self._preflight.cancel()
        super().close()

    def _ask_twice(self, same: list[Candidate]) -> None:
        names = ", ".join(candidate.label for candidate in same)
        question = f"The same is running already: {names}. Start it once more?"
        self.confirmation.ask(question, "Yes, start another", "start", self.start, look="warning")

    def _settings_changed(self) -> None:
        self.start_button.disabled = self.setup.request is None
        self.confirmation.withdraw()  # it was about others

    def _offer(self) -> None:
        """What can be done with what is chosen."""
        count = len(self.running.options)
        self.attach_button.disabled = self.running.value is None
        self._attaching.layout.display = None if count else "none"
        shown = self.live.watched is not None
        told = f"{count} running: attach to see {'it' if count == 1 else 'one of them'}." if count and not shown else ""
        self.offer.value = html.paragraph(told) if told else ""
