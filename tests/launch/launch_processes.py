"""Waiting for what a launched process does."""

from pathlib import Path

from run_processes import until

from fpnkit.launch.local import Launched, look

PATIENCE = 120  # seconds, for a training to begin on a busy machine


def run_made(launched: Launched) -> Path:
    """The run directory, once there is one."""
    until(lambda: look(launched).run is not None, PATIENCE)
    run = look(launched).run
    assert run is not None
    return run
