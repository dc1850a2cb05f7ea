"""What tests of panels have in common."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ipywidgets as widgets
import pytest

from fpnkit.widgets.common.panel import Panel

P = TypeVar("P", bound=Panel)


def click(button: widgets.Button) -> None:
    """As a click in the browser; what a handler raises would be swallowed by `button.click()`."""
    assert not button.disabled, button.description
    for callback in button._click_handlers.callbacks:
        callback(button)


def opened(panel: P) -> P:
    """The panel, when everything is shown."""
    panel.finish()
    return panel


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def everything(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def count_traffic(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each message to the browser from now on."""
    sent: list[int] = []

    def send(self: widgets.Widget, message: Any, buffers: Any = None) -> None:
        sent.append(len(json.dumps(message, default=str)) + sum(memoryview(each).nbytes for each in buffers or ()))

    monkeypatch.setattr(widgets.Widget, "_send", send)
    return sent


class Held:
    """A place in a job where it waits until the test lets it go on."""

    def __init__(self) -> None:
        self.entered = 0
        self._reached, self._going = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.entered += 1
        self._reached.set()
        assert self._going.wait(60)

    def reached(self, seconds: float = 60) -> bool:
        """Wait until a job is there."""
        return self._reached.wait(seconds)

    def go(self) -> None:
        """Let it go on, and those that come later."""
        self._going.set()


def before(held: Held, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a wait before it."""

    def wait(*arguments: Any, **options: Any) -> Any:
        held()
        return function(*arguments, **options)

    return wait
