"""Waiting for what a launched process does."""

from pathlib import Path

from fpnkit.launch.launchers import look
from fpnkit.launch.local import LocalLaunch
from tests.support.run_processes import until

PATIENCE = 120  # seconds, for a training to begin on a busy machine


def run_made(launched: LocalLaunch) -> Path:
    """The run directory, once there is one."""
    until(lambda: look(launched).run is not None, PATIENCE)
    run = look(launched).run
    assert run is not None
    return run
