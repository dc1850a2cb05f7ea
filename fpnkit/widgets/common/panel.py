"""Common parts of panels: a title, a place for failures, polling that ends with the panel, figures.

A handler takes no arguments and reads the controls. As a callback of `Panel.button` or `Panel.on` it never fails
silently: its error is shown in the panel and kept in `failures` until the same action succeeds or it is dismissed.
Called directly, from a cell or a test, it raises like any function. It must not hold up the kernel: what may take more
than 0.2 s is a job for `Panel.work`.
"""

import atexit
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import ipywidgets as widgets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpnkit.plots.style import style
from fpnkit.widgets.common import html
from fpnkit.widgets.common.picture import Picture, figure_from
from fpnkit.widgets.common.pointing import Spot
from fpnkit.widgets.common.theme import Theme
from fpnkit.widgets.common.work import Work

LABEL = {"description_width": "initial"}  # labels whole, whatever their length
WIDE = {
    "width": "auto",
    "flex": "1 1 auto",
    "min_width": "0",
}  # as wide as the panel; with 100 % the margins would stand out of it
AS_WIDE_AS_NEEDED = {"width": "auto", "flex": "0 0 auto"}  # a row that is too long does not cut it
WRAPPED = {"flex_flow": "row wrap"}
_PATIENCE_SECONDS = 5.0  # with the last poll, when the process ends


_polls: dict[threading.Thread, threading.Event] = {}  # with what ends them


@atexit.register
def _end_polls() -> None:
    """A kernel that ends sends each message from the thread that made it, and of two at a time neither can be read."""
    ending = dict(_polls)
    for closing in ending.values():
        closing.set()
    for thread in ending:
        thread.join(_PATIENCE_SECONDS)


class Panel(widgets.VBox):
    """Base class of panels. A subclass creates its controls, then calls `show`."""

    dark_figures: ClassVar[bool | None] = None  # last choice in any panel, which the next ones keep; None: the page's
    _dark_page: ClassVar[bool] = False  # as the last panel was told

    def __init__(self, title: str, *, dark: bool | None = None) -> None:
        self.failures: dict[str, Exception] = {}  # by action
        self.acting = threading.RLock()  # a poll and a click never run at the same time
        self._closing = threading.Event()
        self._works: list[Work] = []
        self.title = widgets.HTML(html.heading(title), layout={"flex": "0 1 auto", "min_width": "0"})
        asked = Panel.dark_figures if dark is None else dark
        self._follows = asked is None  # the page's theme, until somebody chooses
        begin = Panel._dark_page if asked is None else asked
        self.dark = widgets.Checkbox(begin, description="dark figures", indent=False, layout=dict(AS_WIDE_AS_NEEDED))
        self.dark.tooltip = "As the page is, until this is clicked; panels that are opened later keep the choice"
        self._theme = Theme()
        self._theme.observe(lambda _: self._follow(), "dark")
        self._alarm = widgets.HTML(layout=dict(WIDE))
        dismiss = widgets.Button(description="Dismiss", layout=dict(AS_WIDE_AS_NEEDED))
        dismiss.on_click(lambda _: self._dismiss())
        self._alarms = widgets.HBox([self._alarm, dismiss], layout={"display": "none"})
        super().__init__(layout={"width": "100%"})
        self.on(self.dark, "redraw", self._choose_dark)

    def show(self, children: Sequence[widgets.Widget]) -> None:
        """Put the controls below the title and the place for failures."""
        dark = widgets.HBox([self.dark, self._theme], layout=dict(AS_WIDE_AS_NEEDED))
        head = widgets.HBox([self.title, dark], layout={**WRAPPED, "justify_content": "space-between"})
        self.children = (head, self._alarms, *children)

    def redraw(self) -> None:
        """Redraw the figures, if the panel has any."""

    def attempt(self, action: str, handler: Callable[[], None]) -> bool:
        """Run the handler and return whether it succeeded.

        Its error is shown under the action's name and kept in `failures`.
        """
        with self.acting:
            try:
                handler()
            except Exception as error:
                self.failures[action] = error
            else:
                self.failures.pop(action, None)
            self._show_failures()
            return action not in self.failures

    def raise_failures(self) -> None:
        """Finish, and raise the failure that is shown, if any; for cells and tests that must not continue."""
        self.finish()
        if self.failures:
            raise ExceptionGroup(", ".join(self.failures), list(self.failures.values()))

    def button(
        self, label: str, action: str, handler: Callable[[], None], *, look: str = "", tip: str = ""
    ) -> widgets.Button:
        """A button as wide as its label; `look` is one of ipywidgets' `button_style`."""
        layout = {**AS_WIDE_AS_NEEDED, "align_self": "flex-start"}
        made = widgets.Button(description=label, button_style=look, tooltip=tip or label, layout=layout)
        made.on_click(lambda _: self.attempt(action, handler))
        return made

    def on(self, control: widgets.Widget, action: str, handler: Callable[[], None], trait: str = "value") -> None:
        """Run the handler whenever the control changes."""
        control.observe(lambda _: self.attempt(action, handler), names=trait)

    def work(self, action: str, *, lasting: bool = False) -> Work:
        """For what takes longer than a handler may, about 0.2 s; see `Work`. It is a line to put into the panel."""
        self._works.append(Work(self, action, lasting=lasting))
        return self._works[-1]

    def finish(self) -> None:
        """Wait until everything that is read, computed or drawn is shown; for cells and tests, not for handlers."""
        while any(work.busy for work in self._works):
            for work in self._works:
                work.wait()

    def poll(self, action: str, handler: Callable[[], None], seconds: float) -> None:
        """Run the handler repeatedly in a thread until the panel is closed.

        It must only set traits: the thread keeps running while cells run, and its `print` and `display` would end up in
        any of them.
        """

        def run() -> None:
            while not self._closing.wait(seconds):
                self.attempt(action, handler)
            _polls.pop(thread, None)

        thread = threading.Thread(target=run, name=f"fpnkit {action}", daemon=True)
        _polls[thread] = self._closing
        thread.start()

    def close(self) -> None:
        """Remove the panel from the page and end its polling, and work that nobody asked to be done to its end."""
        self._closing.set()
        for work in self._works:
            work.close()
        super().close()

    def draw(
        self,
        picture: Picture,
        plot: Callable[[], Axes | Figure],
        words: str,
        spots: Sequence[Spot] | None = None,
        *,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """Put a figure into the picture; `words`, `spots` and `keys` as of `Picture.show`."""
        with style(dark=self.dark.value):
            picture.show(figure_from(plot), words, spots, keys=keys)

    def __repr__(self) -> str:
        """Shown in place of the panel until its cell is run; ipywidgets cuts it after 110 characters."""
        remedy = "run this cell to see it; if this stays: pip install 'fpnkit[notebooks]', reload the page"
        return f"<{type(self).__name__}: {remedy}>"

    def _follow(self) -> None:
        page = self._theme.dark
        if page is not None:
            Panel._dark_page = page
            if self._follows:
                self.dark.value = page

    def _choose_dark(self) -> None:
        if not (self._follows and self.dark.value == self._theme.dark):  # else the page has changed, and nobody chose
            self._follows, Panel.dark_figures = False, self.dark.value
        self.redraw()

    def _dismiss(self) -> None:
        with self.acting:
            self.failures.clear()
            self._show_failures()

    def _show_failures(self) -> None:
        self._alarm.value = "".join(html.failure(action, error) for action, error in self.failures.items())
        self._alarms.layout.display = None if self.failures else "none"


class Choices:
    """The options of a Dropdown, Select or SelectMultiple, which can be replaced while something is selected.
    ipywidgets selects the first option whenever options are set, and notifies every observer.

    Here the selection is kept; if it is gone, nothing is selected, because an action must not hit another item
    unnoticed.
    """

    def __init__(self, panel: Panel, control: widgets.Widget, action: str, chosen: Callable[[], None]) -> None:
        self.control = control
        self._options: tuple[tuple[str, Any], ...] = tuple(control.options)
        self._replacing = False
        control.observe(lambda _: None if self._replacing else panel.attempt(action, chosen), names="value")

    def replace(self, options: Sequence[tuple[str, Any]], *, otherwise: Any = None) -> bool:
        """Set (label, value) pairs and return whether the selection changed; the handler is not called.

        `otherwise` is selected if there is no selection or it is gone.
        """
        if tuple(options) == self._options:
            return False
        before = self.control.value
        values = [value for _, value in options]
        after: Any
        if isinstance(self.control, widgets.SelectMultiple):
            after = tuple(value for value in before if value in values) or tuple(otherwise or ())
        else:
            after = before if before in values else otherwise
        self._replacing = True
        try:
            self._options = tuple(options)
            if isinstance(self.control, widgets.SelectionSlider):
                self._renew(after)
            else:
                with self.control.hold_sync():
                    self.control.options = self._options
                    self.control.value = after
        finally:
            self._replacing = False
        return bool(after != before)

    def _renew(self, value: Any) -> None:
        """The page makes a slider anew only when it is turned; with other options alone it keeps its old range."""
        self.control.options = self._options
        self.control.orientation = "vertical"
        self.control.orientation = "horizontal"
        self.control.value = value


class Confirmation(widgets.HBox):
    """A question shown in the panel until it is answered; nothing happens before that."""

    def __init__(self, panel: Panel) -> None:
        self._action = ""
        self._handler: Callable[[], None] = lambda: None
        self._panel = panel
        self.question = widgets.HTML(layout={"flex": "0 1 auto", "min_width": "0", "margin": "0 12px 0 0"})
        self.yes = widgets.Button(layout=dict(AS_WIDE_AS_NEEDED))
        self.no = widgets.Button(description="Cancel", layout=dict(AS_WIDE_AS_NEEDED))
        self.yes.on_click(lambda _: self._answer(True))
        self.no.on_click(lambda _: self._answer(False))
        row = {**WRAPPED, "display": "none", "align_items": "center"}
        super().__init__([self.question, self.yes, self.no], layout=row)

    def ask(self, question: str, yes: str, action: str, handler: Callable[[], None], look: str = "danger") -> None:
        """Show the question; `yes` is the label of the button that runs the handler."""
        self.question.value = html.paragraph(question)
        self.yes.description, self.yes.tooltip, self.yes.button_style = yes, yes, look
        self._action, self._handler = action, handler
        self.layout.display = None

    def withdraw(self) -> None:
        """Withdraw the question, because its subject is no longer selected."""
        self.layout.display = "none"

    @property
    def asking(self) -> bool:
        return bool(self.layout.display != "none")

    def _answer(self, sure: bool) -> None:
        if self.asking:
            self.withdraw()
            if sure:
                self._panel.attempt(self._action, self._handler)
