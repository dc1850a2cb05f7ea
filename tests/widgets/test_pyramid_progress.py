"""The viewer while it loads: nothing is held up, the steps are told, the last choice counts."""

from pathlib import Path
from typing import Any

import pytest

from fpnkit.foundation.steps import StepClock
from fpnkit.runs.index import RunIndex
from fpnkit.widgets.pyramid import loading
from fpnkit.widgets.pyramid.viewer import PyramidViewer
from tests.support.panel_tools import Clock, Held
from tests.support.run_processes import until
from tests.support.store import store

_HEADS = "backbone and heads"
NEW_IMAGE = (_HEADS, "encoding", "decoding", "detecting", "counting bits")


@pytest.fixture
def base() -> Path:
    return store() / "checkpoints" / "fpn_compression"


@pytest.fixture
def hold_coding(held: Held, monkeypatch: pytest.MonkeyPatch) -> Any:
    """From when it is called, an image is held before it is coded."""
    through = loading._through

    def wait(*arguments: Any) -> loading.View:
        held()
        return through(*arguments)

    return lambda: monkeypatch.setattr(loading, "_through", wait)


def test_sliders_move_while_an_image_is_coded_and_the_last_place_is_shown(
    base: Path, held: Held, hold_coding: Any
) -> None:
    viewer = PyramidViewer(base)
    before = viewer.view
    viewer.raise_failures()
    picture = viewer.channels.picture.value
    hold_coding()
    viewer.image.value = 2
    assert held.reached()
    until(lambda: "backbone and heads on image 2" in viewer._loading.said)
    assert viewer.tabs.layout.display is None  # what was shown stays, pale
    assert "fpnkit-old" in viewer.channels.picture._dom_classes
    viewer.channels.channel.value = 7  # of the old view, at once
    viewer._drawing.wait()
    assert viewer.channels.picture.value != picture
    viewer.image.value = 5
    viewer.image.value = 4
    held.go()
    assert viewer.view.index == 3  # waits for the newest
    viewer.raise_failures()
    assert before.index == 0
    assert (viewer.image.value, viewer._loading.said) == (4, "")
    assert "fpnkit-old" not in viewer.channels.picture._dom_classes
    assert held.entered == 2  # image 5 was never begun


def test_the_first_look_at_the_runs_is_told_and_holds_nothing_up(
    base: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = RunIndex.read

    def wait(self: RunIndex, tell: Any) -> Any:
        return read(self, lambda step: (tell(step), held()))  # type: ignore[arg-type, func-returns-value]

    monkeypatch.setattr(RunIndex, "read", wait)
    viewer = PyramidViewer(base)
    assert held.reached()
    until(lambda: ">looking at run<" in viewer._loading.said)
    assert viewer.choice.options == ()
    held.go()
    assert viewer.view.run.parent == base


def test_the_steps_are_told_in_order_and_what_follows_is_known(base: Path) -> None:
    loader, told = loading.Loader(), []
    run = max(path for path in base.glob("run_*") if (path / "best_model.pth").exists())
    loader.view(run, "val", 0, None, told.append)
    assert [step.words for step in told][:3] == ["loading the detector", "loading the codec", f"{_HEADS} on image 1"]
    told.clear()
    loader.view(run, "val", 2, None, told.append)
    assert tuple(step.what for step in told) == NEW_IMAGE
    assert [step.then for step in told] == [NEW_IMAGE[at + 1 :] for at in range(5)]
    now = Clock()
    first, second = StepClock(now), StepClock(now)
    for step in told:
        first.tell(step)
        now.seconds += 4
    first.end()
    now.seconds -= 20
    second.tell(told[0])
    now.seconds += 3
    assert second.timing() == "3 s · about 17 s left"


def test_every_control_has_a_label_and_long_sliders_wait_for_the_end(base: Path) -> None:
    viewer = PyramidViewer(base)
    controls = (viewer.search, viewer.choice, viewer.lmbda, viewer.split, viewer.image)
    tabs = (viewer.channels.level, viewer.channels.channel, viewer.channels.mean, viewer.bits.level)
    assert [control for control in (*controls, *tabs, viewer.objects.threshold) if not control.description] == []
    sliders = (viewer.image, viewer.channels.channel, viewer.objects.threshold)
    assert [slider.continuous_update for slider in sliders] == [False] * 3
    assert viewer.lmbda.continuous_update  # else keys do not move it
