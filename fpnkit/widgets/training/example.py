"""A starting point without runs of your own: one button makes a small sweep on built-in images.

from fpnkit.widgets import ExampleSweep

ExampleSweep()
"""

import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from fpnkit.foundation import text
from fpnkit.foundation.shipped import usual
from fpnkit.launch.launchers import load, submit
from fpnkit.launch.protocol import FOLDER
from fpnkit.launch.request import make_request
from fpnkit.launch.watch import running
from fpnkit.runs import layout
from fpnkit.runs.store import list_runs
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import Panel
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
        self.said = widgets.HTML()
        self.make_button = self.button("Make an example sweep", "make an example sweep", self.make, look="primary")
        self.live = LiveView(self, now)
        if self.attempt("look for runs", self.look) and self.live.watched is None and self.make_button.disabled:
            self.children = (self.said,)  # nothing to do here: one line in the notebook
            return
        self.show([self.said, self.make_button, self.live])
        if poll_seconds > 0:
            self.poll("update", self.update, poll_seconds)

    def update(self) -> None:
        """Show progress; called once a second by the poll thread."""
        before = self.live.seen
        self.live.update()
        if self.live.seen is not None and (before is None or before.running != self.live.seen.running):
            self.look()

    def look(self) -> None:
        """Count the runs and watch the example sweep. Raises RunError if the directory cannot be read."""
        under_way = [each for each in running(self.base_dir) if self._made(each.path)]
        count = len(list_runs(self.base_dir)) if self.base_dir.exists() else 0
        self.make_button.disabled = bool(under_way or count)
        place = f"in {text.printable(self.base_dir)}"
        if under_way and self.live.watched is None:
            self.live.watch(under_way[0].path)
        self.live.layout.display = None if self.live.watched else "none"
        if under_way:
            self.said.value = html.paragraph("It is running; run the cells below when it has finished.")
        elif count:
            self.said.value = html.paragraph(f"{count:,} {'run' if count == 1 else 'runs'} {place}", pale=True)
        else:
            self.said.value = html.paragraph(_OFFER)

    def _made(self, path: Path) -> bool:
        """Whether it is an example sweep, and not another training with its own panel."""
        return path.parent.name == FOLDER and str(self._config) in load(path).argv

    def make(self) -> None:
        """Start it, unless something is running or was made meanwhile. Raises ConfigError, RunError or StorageError."""
        self.look()
        if not self.make_button.disabled:
            request = make_request(self._config, LAMBDAS, {}, [], self.base_dir)
            self.live.watch(submit([*request.arguments, *_AND_THEN], request.base_dir, request.module).file)
            self.look()
