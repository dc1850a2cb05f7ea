"""What a training panel says, and goes on after, when the disk is not as it should be."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from fpnkit.launch.launchers import find
from fpnkit.runs.store import run_info
from fpnkit.runs.trash import trash
from tests.support.disks import mounted
from tests.support.panel_tools import click
from tests.support.sweep_runs import make_run, plan
from tests.support.training_panels import Open, update_until

pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_run_that_is_gone_while_shown_is_said_and_forgotten(
    how: str, open_panel: Open, config: Path, base: Path
) -> None:
    run = make_run(base, plan(config, [1e-3]).config(1e-3, 0))
    panel = open_panel()
    panel.live.watch(run)
    panel.finish()
    assert "✔ finished" in panel.live.head.value
    if how == "deleted":
        shutil.rmtree(run)
    else:
        trash(run_info(run), base)
    panel.update()
    panel.raise_failures()
    assert f"{run.name} no longer exists: it was moved or deleted." in panel.live.head.value
    assert panel.live.stop_button.disabled
    panel.update()
    panel.finish()
    other = make_run(base, plan(config, [1e-3]).config(1e-3, 0), "killed")
    panel.live.watch(other)
    panel.finish()
    assert "✖ killed" in panel.live.head.value


def test_a_config_that_changes_while_chosen_is_read_again(open_panel: Open, config: Path) -> None:
    panel = open_panel()
    good = config.read_text()
    config.write_text(good.replace("epochs: 3", "epochs: 0"))
    panel.update()
    panel.finish()
    told = f"{config}:9: training.epochs: required a number greater than 0, found 0"
    assert told in panel.setup.problems.value
    assert panel.start_button.disabled
    config.unlink()
    panel.update()
    panel.finish()
    assert (
        f"{config}: required a readable file" in panel.setup.problems.value or "No such" in panel.setup.problems.value
    )
    assert panel.setup.command.value == ""
    config.write_text(good.replace("epochs: 3", "epochs: 30"))
    panel.update()
    panel.finish()
    assert panel.setup.problems.value == ""
    assert panel.setup.flags["--epochs"].placeholder == "30"
    assert not panel.start_button.disabled
    panel.raise_failures()


def test_a_config_broken_a_moment_ago_starts_nothing(open_panel: Open, config: Path, base: Path) -> None:
    panel = open_panel()
    config.write_text("task: nonsense\n")
    click(panel.start_button)  # the panel has not looked since
    told = "cannot start: see the problems shown below the settings"
    assert str(panel.failures["start"]) == told
    assert "task: " in panel.setup.problems.value
    assert not base.exists()


def test_a_base_directory_that_is_a_file_is_said_and_may_be_mended(open_panel: Open, base: Path) -> None:
    base.write_text("")
    panel = open_panel()
    click(panel.start_button)
    panel.finish()
    told = f"base directory {base}: must be a directory, found the file {base}"
    assert str(panel.failures["start"]) == told
    assert told in panel._alarm.value
    base.unlink()
    click(panel.start_button)
    panel.raise_failures()
    assert len(find(base)) == 1


def test_a_full_disk_at_the_start_is_said_leaves_nothing_and_room_helps(open_panel: Open, base: Path) -> None:
    with mounted(base, "size=64k"):
        fill = base / "fill"
        with contextlib.suppress(OSError):
            fill.write_bytes(bytes(65536))
        panel = open_panel()
        click(panel.start_button)
        panel.finish()
        told = str(panel.failures["start"])
        assert told.startswith(f"{base}/.launch/")
        assert told.endswith("_1.json: could not be written: No space left on device")
        assert list(base.iterdir()) == [fill]
        os.truncate(fill, 48 * 1024)  # room for the start, not for a run
        click(panel.start_button)
        panel.raise_failures()
        update_until(panel, lambda: not panel.live.running)
        assert "✖ failed" in panel.live.head.value
        told = f"{base}: required about 3.0 MB for 1 run (estimated from 105056 parameters), found "
        assert told in panel.live.failure.value
        assert [path for path in base.iterdir() if path.name.startswith("run_")] == []


def test_a_read_only_base_directory_is_said(open_panel: Open, base: Path) -> None:
    with mounted(base, "size=64k,ro"):
        panel = open_panel()
        panel.raise_failures()
        click(panel.start_button)
        panel.finish()
        told = f"base directory {base}: required a directory that can be written to: Read-only file system"
        assert str(panel.failures["start"]) == told
        assert panel.live.watched is None
