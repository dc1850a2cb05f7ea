"""What a training panel says while something takes long, and that nothing waits for it."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fpnkit.errors import ConfigError
from fpnkit.foundation import clock
from fpnkit.foundation.process_record import Doing
from fpnkit.launch.launchers import find
from fpnkit.launch.watch import TrainingState
from fpnkit.widgets.training import live
from fpnkit.widgets.training import panel as under_test
from tests.support.panel_tools import Held, before, click
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan
from tests.support.training_panels import Open

pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> "list[subprocess.Popen[bytes]]":
    """Processes from now on."""
    made, popen = list[Any](), subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        made.append(popen(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return made


def test_a_check_says_what_it_does_and_what_comes_of_it(open_panel: Open, held: Held) -> None:
    panel = open_panel()
    click(panel.setup.check_button)
    until(lambda: ">checking data, detector and disk" in panel.setup.checking.said)
    panel.raise_failures()
    assert "✔ everything is in order" in panel.setup.checked.value
    assert "features: feature cache" in panel.setup.checked.value
    assert panel.setup.checking.said == ""


@pytest.mark.parametrize("how", ["other settings", "closed"])
def test_a_check_that_nobody_waits_for_ends(how: str, open_panel: Open, started: Any) -> None:
    panel = open_panel()
    click(panel.setup.check_button)
    until(lambda: len(started) == 1)
    if how == "closed":
        panel.close()
    else:
        panel.setup.lambdas.value = "2e-3"
    panel.finish()
    assert started[0].poll() is not None
    assert panel.setup.checked.value == ""


def test_start_looks_for_the_same_training_beside_the_controls(
    open_panel: Open, base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_panel()
    monkeypatch.setattr(under_test, "twins", before(held, under_test.twins))
    click(panel.start_button)
    assert held.reached()
    until(lambda: ">looking for the same training" in panel._starting.said)
    panel.setup.lambdas.value = "2e-3"  # other settings than those that Start was pressed for
    held.go()
    panel.finish()
    (error,) = panel.failures.values()
    assert isinstance(error, ConfigError)
    assert str(error) == "cannot start: the settings were changed meanwhile; press Start again"
    assert not base.exists()
    for _ in range(3):
        click(panel.start_button)  # three presses are one start
    panel.raise_failures()
    assert len(find(base)) == 1


def test_looking_at_a_sweep_holds_nothing_up(
    open_panel: Open, config: Path, base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (make_run(base, plan(config, [lmbda]).config(lmbda, 0)) for lmbda in (1e-3, 2e-3))
    panel = open_panel()
    monkeypatch.setattr(live, "see", before(held, live.see))
    panel.live.watch(first)
    assert held.reached()
    until(lambda: ">looking at the training<" in panel.live._looking.said)
    panel.update()  # as the poll does: it does not wait, and it does not ask once more
    panel.setup.lambdas.value = "5e-3"
    panel.live.watch(second)  # the last choice counts
    held.go()
    panel.raise_failures()
    assert panel.run.path == second
    assert held.entered == 2


def state(**facts: Any) -> TrainingState:
    return TrainingState("process 7", "starting", True, **facts)


def ago(seconds: float) -> str:
    return clock.to_text(clock.now() - timedelta(seconds=seconds))


def test_what_a_process_has_recorded_is_told_with_its_time() -> None:
    preparing = state(phase="preparing", since=ago(42), doing=Doing("training features", 33, 210, ago(33)))
    told = " · ".join(live._facts(preparing, None))
    assert told == "process 7 · preparing data and detector · training features 34 of 210 · 33 s · about 2m57s left"
    assert live._facts(state(phase="preparing", since=ago(5)), None)[1:] == ["preparing data and detector", "5 s"]
    assert live._facts(state(phase="starting", since=ago(3)), None) == ["process 7", "3 s"]
    assert live._facts(state(phase="training"), None) == ["process 7"]
