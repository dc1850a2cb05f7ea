"""Real processes for the tests of run directories."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import ROOT

FAKE_TRAINER = ROOT / "tests" / "support" / "fake_trainer.py"


def start_trainer(*arguments: object, **options: Any) -> tuple["subprocess.Popen[str]", Path]:
    """The process and its run directory, once the directory is complete."""
    command = [sys.executable, str(FAKE_TRAINER), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout is not None
    path = process.stdout.readline().rstrip("\n")
    assert path, "the trainer ended before it had a directory"
    return process, Path(path)


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    """Until the process has printed this line."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.rstrip("\n") == text:
            return
    raise AssertionError(f"the process ended without {text!r}")


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what happens in another process or thread."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.005)


def python(code: str, *arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **{"cwd": ROOT, **options})


def command_line(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """`python -m fpnkit.runs …`."""
    command = [sys.executable, "-m", "fpnkit.runs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
