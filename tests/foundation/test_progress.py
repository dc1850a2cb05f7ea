"""How far something is, where no terminal shows a bar."""

import contextlib
import fcntl
import logging
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from fpnkit.foundation.progress import Progress, progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_a_minute_says_how_far_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO), Progress("images", 10, clock=clock) as counted:
        for _ in range(10):
            clock.now += 25
            counted.step()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "images: 3 of 10 images, about 2m55s left",
        "images: 6 of 10 images, about 1m40s left",
        "images: 9 of 10 images, about 25s left",
    ]


def test_a_total_may_come_later(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO), Progress("features", clock=clock) as counted:
        clock.now = 100
        counted.reach(5, 20)
    assert [record.getMessage() for record in caplog.records] == ["features: 5 of 20 images, about 5m00s left"]


def test_items_come_in_order_and_what_is_short_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(progress("abc", "letters")) == ["a", "b", "c"]
    assert caplog.records == []


def test_a_terminal_shows_a_bar() -> None:
    code = "from fpnkit.foundation.progress import progress; list(progress(range(3), 'things'))"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b"things" in shown
