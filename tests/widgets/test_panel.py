import subprocess
import sys
import threading
import time

import ipywidgets as widgets
import pytest

from fpnkit.errors import RunError
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import Choices, Confirmation, Panel


class Counter(Panel):
    """Counts; told to, it fails."""

    def __init__(self) -> None:
        super().__init__("Counter")
        self.count = 0
        self.error: Exception | None = None
        self.field = widgets.Text()
        self.on(self.field, "read the field", self.work)
        self.click = self.button("Count", "count", self.work)
        self.show([self.field, self.click])

    def work(self) -> None:
        if self.error:
            raise self.error
        self.count += 1


def shown(panel: Panel) -> str:
    """What stands in the place for failures; empty if it is not visible."""
    area = panel.children[1]
    return "" if area.layout.display == "none" else area.children[0].value


def dismiss(panel: Panel) -> None:
    panel.children[1].children[1].click()


def test_a_failing_click_is_shown_in_place_and_kept() -> None:
    panel = Counter()
    panel.error = RunError("run <b>: is gone")
    panel.click.click()
    assert "count failed" in shown(panel)
    assert "run &lt;b&gt;: is gone" in shown(panel)
    assert "Traceback" not in shown(panel)  # the message is complete
    with pytest.raises(ExceptionGroup) as caught:
        panel.raise_failures()
    assert caught.value.exceptions == (panel.error,)


def test_what_nobody_foresaw_is_shown_with_its_place_and_traceback() -> None:
    panel = Counter()
    panel.error = ValueError("odd")
    panel.field.value = "x"
    assert "read the field failed" in shown(panel)
    assert "ValueError: odd (test_panel.py, line " in shown(panel)
    assert "Traceback (most recent call last)" in shown(panel)


def test_a_failure_goes_when_the_same_action_succeeds_or_it_is_dismissed() -> None:
    panel = Counter()
    panel.error = RunError("no")
    panel.click.click()
    panel.field.value = "x"
    assert list(panel.failures) == ["count", "read the field"]
    panel.error = None
    panel.click.click()
    assert list(panel.failures) == ["read the field"]
    assert "read the field failed" in shown(panel)
    dismiss(panel)
    assert panel.failures == {}
    assert shown(panel) == ""
    panel.raise_failures()


def test_a_handler_called_by_its_name_raises() -> None:
    panel = Counter()
    panel.error = RunError("no")
    with pytest.raises(RunError, match=r"^no$"):
        panel.work()
    assert panel.failures == {}


def test_a_panel_begins_with_the_figures_that_were_ticked_last_unless_told_otherwise() -> None:
    first, told = Panel("first"), Panel("told", dark=True)
    assert not first.dark.value
    assert not Panel("next").dark.value  # what a cell asks for is for that panel alone
    first.dark.value = True
    assert Panel("next").dark.value
    assert not Panel("light", dark=False).dark.value
    told.dark.value = False
    assert not Panel("next").dark.value
    assert first.dark.value


def test_figures_are_as_dark_as_the_page_until_somebody_chooses() -> None:
    panel, chosen = Panel("t"), Panel("t", dark=False)
    for each in (panel, chosen):
        each._theme.dark = True  # as the page says it
    assert (panel.dark.value, chosen.dark.value) == (True, False)
    panel._theme.dark = False
    assert not panel.dark.value
    panel._theme.dark = True
    panel.dark.value = False  # a click
    panel._theme.dark = False
    panel._theme.dark = True
    assert not panel.dark.value
    other = Panel("t")
    other._theme.dark = True
    assert not other.dark.value  # somebody chose


def test_polling_goes_on_after_a_failure_and_ends_with_the_panel() -> None:
    panel, counted = Counter(), threading.Event()

    def work() -> None:
        panel.work()
        if panel.count == 1:
            raise RunError("once")
        if panel.count == 5:
            counted.set()

    panel.poll("watch", work, 0.001)
    assert counted.wait(30)
    assert panel.failures == {}
    thread = next(thread for thread in threading.enumerate() if thread.name == "fpnkit watch")
    assert thread.daemon
    panel.close()
    thread.join(30)
    assert not thread.is_alive()


def test_a_poll_and_a_click_never_work_at_the_same_time() -> None:
    panel, inside, together = Counter(), [], []

    def slowly() -> None:
        inside.append(1)
        together.append(len(inside))
        time.sleep(0.002)
        inside.pop()

    button = panel.button("Slow", "slow", slowly)
    panel.poll("watch", slowly, 0.0001)
    clicks, deadline = 0, time.monotonic() + 60
    while clicks < 50 or len(together) <= clicks:  # until the poll has had its turn too, however busy the machine is
        assert time.monotonic() < deadline
        button.click()
        clicks += 1
        time.sleep(0.001)
    panel.close()
    assert set(together) == {1}


@pytest.mark.parametrize("kind", [widgets.Dropdown, widgets.Select])
def test_new_options_keep_the_choice_and_tell_nobody(kind: type[widgets.Widget]) -> None:
    control, told = kind(options=[("a", 1), ("b", 2)], value=2), []
    choices = Choices(Counter(), control, "choose", lambda: told.append(control.value))
    assert not choices.replace([("new", 3), ("a", 1), ("b, renamed", 2)])
    assert (control.value, control.label) == (2, "b, renamed")
    assert told == []
    control.value = 3
    assert told == [3]


def test_a_choice_that_is_gone_becomes_none_and_not_the_first() -> None:
    control = widgets.Dropdown(options=[("a", 1), ("b", 2)], value=2)
    choices = Choices(Counter(), control, "choose", lambda: None)
    assert choices.replace([("a", 1), ("c", 3)])
    assert control.value is None
    assert choices.replace([("d", 4)], otherwise=4)
    assert control.value == 4
    assert choices.replace([])
    assert control.value is None


def test_of_several_choices_those_that_are_left_stay() -> None:
    control, told = widgets.SelectMultiple(options=[("a", 1), ("b", 2), ("c", 3)], value=(1, 3)), []
    choices = Choices(Counter(), control, "choose", lambda: told.append(control.value))
    assert choices.replace([("c", 3), ("b", 2)])
    assert control.value == (3,)
    assert told == []


def test_the_same_options_are_not_sent_again() -> None:
    control = widgets.Dropdown(options=[("a", 1)])
    choices, sent = Choices(Counter(), control, "choose", lambda: None), []
    control.observe(lambda change: sent.append(change.new), names="_options_labels")
    choices.replace([("a", 1)])
    assert sent == []
    choices.replace([("b", 1)])
    assert sent == [("b",)]


def test_nothing_happens_before_a_question_is_answered_with_yes() -> None:
    panel = Counter()
    confirmation = Confirmation(panel)
    confirmation.yes.click()
    assert panel.count == 0
    confirmation.ask("Sure?", "Yes, count", "count", panel.work)
    assert confirmation.layout.display is None
    assert "Sure?" in confirmation.question.value
    confirmation.no.click()
    confirmation.yes.click()  # of a question that is not there any more
    assert panel.count == 0
    confirmation.ask("Sure?", "Yes, count", "count", panel.work)
    confirmation.yes.click()
    assert panel.count == 1
    assert not confirmation.asking


def test_texts_from_outside_are_never_html() -> None:
    evil = "<script>alert(1)</script>"
    made = [
        html.heading(evil),
        html.badge(evil),
        html.paragraph(evil),
        html.code(evil),
        html.table([(evil, evil)], (evil, evil), caption=evil),
        html.numbers([(evil, evil, evil), (evil, evil, 3 * evil)], (evil, evil, evil), caption=evil),
        html.bullets([evil]),
        html.folded(evil, ""),
        html.image(b"", evil + '"', 1),
        html.failure(evil, RunError(evil)),
        html.failure(evil, ValueError(evil)),
    ]
    assert [part for part in made if "<script" in part] == []
    assert [part for part in made if "&lt;script&gt;" not in part] == []


def test_every_control_of_the_base_has_a_label() -> None:
    panel = Counter()
    head, alarms, *_ = panel.children
    assert head.children[1].children[0].description == "dark figures"
    assert alarms.children[1].description == "Dismiss"


def test_where_a_panel_cannot_be_shown_stands_what_is_missing() -> None:
    """A notebook without ipywidgets' front end shows `text/plain` of what a cell returns."""
    text = Panel("Title")._repr_mimebundle_()["text/plain"]
    assert text == "<Panel: run this cell to see it; if this stays: pip install 'fpnkit[notebooks]', reload the page>"


def test_polls_have_ended_when_the_kernel_closes_its_sockets() -> None:
    """Which it does in a handler of its own, registered before any panel is there."""
    code = """
import atexit, threading
atexit.register(lambda: print([each.name for each in threading.enumerate() if each.name.startswith("fpnkit")]))
from fpnkit.widgets.common.panel import Panel
polled = threading.Event()
Panel("t").poll("update", polled.set, 0.001)
assert polled.wait(60)
print([each.name for each in threading.enumerate() if each.name.startswith("fpnkit")])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "['fpnkit update']\n[]\n"), done.stderr
