"""A starting point without runs of your own: one button makes a small sweep on built-in images.

from fpnkit.widgets import ExampleSweep

ExampleSweep()
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ipywidgets as widgets

from fpnkit.foundation import text
from fpnkit.foundation.shipped import usual
from fpnkit.foundation.steps import Tell
from fpnkit.launch.launchers import load, submit
from fpnkit.launch.protocol import FOLDER
from fpnkit.launch.request import make_request
from fpnkit.launch.watch import running
from fpnkit.runs import layout
from fpnkit.runs.index import RunIndex
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import Panel
from fpnkit.widgets.common.work import Show
from fpnkit.widgets.training.live import LiveView

CONFIG = "example_sweep.yaml"  # of those that come with fpnkit
LAMBDAS = ("3e-6", "2e-5", "1e-4", "5e-4", "2.5e-3")
_AND_THEN = ("--evaluate", "--anchors", "jpeg_input")
_OFFER = """\
There are no runs here yet. An example sweep trains and evaluates five codecs, one per lambda, on built-in images with \
a built-in detector, and JPEG beside them: about two minutes on 2 cores. It is a process of its own and goes on when \
this page is closed."""


class ExampleSweep(Panel):
    """Shows how many runs `base_dir` has (default: codecs), and offers to make some if there are none."""

    def __init__(
        self,
        base_dir: Path | str | None = None,
        config: Path | str | None = None,
        *,
        dark: bool | None = None,
        poll_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("An example sweep", dark=dark)
        self.base_dir = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir).absolute()
        self._config = usual(layout.home(), "configs") / CONFIG if config is None else Path(config).absolute()
        self._looking, self._index = self.work("look for runs"), RunIndex(self.base_dir)
        self.said = widgets.HTML()
        self.make_button = self.button("Make an example sweep", "make an example sweep", self.make, look="primary")
        self.live = LiveView(self, now)
        self._shown: object = None  # at the last update
        self.make_button.disabled = True  # until it is known that there are none
        self.live.layout.display = "none"
        self.show([self._looking, self.said, self.make_button, self.live])
        self.look()
        if poll_seconds > 0:
            self.poll("update", self.update, poll_seconds)

    def update(self) -> None:
        """Show progress; called once a second by the poll thread."""
        before, self._shown = self._shown, self.live.shown
        self.live.update()
        if before != self._shown:
            self.look()

    def look(self) -> None:
        """Count the runs and watch the example sweep, in the background."""
        self._looking.ask(lambda tell: partial(self._show_found, *self._find(tell)))

    def _find(self, tell: Tell) -> tuple[list[Path], int]:
        """The example sweeps under way, and the number of runs."""
        runs = self._index.read(tell) if self.base_dir.exists() else []
        return [each.path for each in running(self.base_dir, runs) if self._made(each.path)], len(runs)

    def _show_found(self, under_way: list[Path], count: int) -> None:
        self.make_button.disabled = bool(under_way or count)
        place = f"in {text.printable(self.base_dir)}"
        if under_way and self.live.watched is None:
            self.live.watch(under_way[0])
        self.live.layout.display = None if self.live.watched else "none"
        if under_way:
            self.said.value = html.paragraph("It is running; run the cells below when it has finished.")
        elif count:
            self.said.value = html.paragraph(f"{count:,} {'run' if count == 1 else 'runs'} {place}", pale=True)
        else:
            self.said.value = html.paragraph(_OFFER)
        if count and self.live.watched is None:
            self.children = (self.said,)  # nothing to do here: one line in the notebook

    def _made(self, path: Path) -> bool:
        """Whether it is an example sweep, and not another training with its own panel."""
        return path.parent.name == FOLDER and str(self._config) in load(path).argv

    def make(self) -> None:
        """Start it in the background, unless something is running or was made meanwhile."""
        self._looking.ask(self._start)

    def _start(self, tell: Tell) -> Show:
        under_way, count = self._find(tell)

        def show() -> None:
            if under_way or count or self.attempt("make an example sweep", self._submit):
                self.look()

        return show

    def _submit(self) -> None:
        request = make_request(self._config, LAMBDAS, {}, [], self.base_dir)
        self.live.watch(submit([*request.arguments, *_AND_THEN], request.base_dir, request.module).file)
