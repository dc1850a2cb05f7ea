"""The offer to make an example sweep, with real processes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fpnkit.errors import ConfigError
from fpnkit.launch.launchers import find
from fpnkit.launch.stop import stop
from fpnkit.launch.sweep import sweep_ids
from fpnkit.widgets.training.example import LAMBDAS, ExampleSweep
from tests.support.panel_tools import opened
from tests.support.store import CONFIG_FILE, copy_store

pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    for launched in find(tmp_path / "runs"):
        if launched.lives():
            stop(launched, "kill")


def offer(base: Path, config: Path = CONFIG_FILE) -> ExampleSweep:
    return opened(ExampleSweep(base, config, poll_seconds=0))


def test_where_there_are_runs_it_only_counts_them(tmp_path: Path) -> None:
    base = copy_store(tmp_path / "home") / "checkpoints" / "fpn_compression"
    panel = offer(base)
    panel.raise_failures()
    assert [child for child in panel.children if child is not panel.said] == []
    assert f"13 runs in {base}<" in panel.said.value
    panel.make()
    panel.finish()
    assert find(base) == []


def test_where_there_are_none_one_press_starts_a_sweep_that_others_see(base: Path) -> None:
    panel = offer(base)
    panel.raise_failures()
    assert "There are no runs here yet." in panel.said.value
    assert not base.exists()
    panel.make_button.click()
    panel.raise_failures()
    (launched,) = find(base)
    asked = ("--lambdas", *LAMBDAS, "--base-dir", str(base), "--evaluate", "--anchors", "jpeg_input")
    assert launched.argv[-len(asked) :] == asked
    assert panel.make_button.disabled
    panel.make()  # pressed twice
    panel.finish()
    assert find(base) == [launched]
    other = offer(base)  # in another notebook, or after the kernel was restarted
    assert other.make_button.disabled
    assert "It is running" in other.said.value
    deadline = time.monotonic() + 60
    while not sweep_ids(base):
        assert launched.lives(), launched.log.read_text()
        assert time.monotonic() < deadline, launched.log.read_text()
        time.sleep(0.2)
    while not all(f"λ {lmbda}" in other.live.strip.value for lmbda in LAMBDAS):
        assert time.monotonic() < deadline, other.live.strip.value
        other.live._looked = float("-inf")
        other.update()
        other.finish()
    stop(launched, "kill")
    while "It is running" in other.said.value or "ended" not in other.live.head.value:  # each is read for itself
        assert time.monotonic() < deadline
        other.live._looked = float("-inf")
        other.update()
        other.finish()
    assert "ended" in other.live.head.value


def test_without_the_config_it_says_so_and_leaves_nothing(base: Path, tmp_path: Path) -> None:
    panel = offer(base, tmp_path / "none.yaml")
    panel.make_button.click()
    panel.finish()
    error = panel.failures["make an example sweep"]
    assert isinstance(error, ConfigError)
    assert str(error) == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    assert not base.exists()
