"""The output of a process for display: its last lines and its failure message. No code depends on it."""

from __future__ import annotations

import os
from pathlib import Path

_READ = 64 * 1024  # bytes; of a log of any length
_TRACEBACK = "Traceback (most recent call last):"
_LINES_AT_END = 5
_NOTHING_SAID = "it was ended before it wrote anything"


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines; none if there is no such file. A redrawn progress bar is shown in its last state."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - _READ)
            file.seek(start)
            data = file.read()
    except OSError:
        return []
    lines = _lines(data)
    return (lines[1:] if start else lines)[-count:]


def first_lines(path: Path) -> list[str]:
    """Those of the first 64 KiB."""
    try:
        with open(path, "rb") as file:
            return _lines(file.read(_READ))
    except OSError:
        return []


def _lines(data: bytes) -> list[str]:
    return [line.rstrip("\r").rpartition("\r")[2] for line in data.decode("utf-8", "replace").rstrip("\n").split("\n")]


def last_words(path: Path, reason: str | None = None) -> str:
    """The last words of a failed command: its traceback, else its reason, else its last lines."""
    lines = [line for line in last_lines(path, 1000) if line.strip()]
    trace = last_traceback(path)
    if trace and lines[-1] == trace.splitlines()[-1]:
        return trace
    return reason or "\n".join(lines[-_LINES_AT_END:]) or _NOTHING_SAID


def last_traceback(path: Path) -> str | None:
    """The last traceback in a log, up to the next log record; None if there is none."""
    lines = last_lines(path, 1000)
    starts = [position for position, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    if not starts:
        return None
    end = starts[-1] + 1
    while end < len(lines) and (lines[end].startswith((" ", "\t")) or not lines[end].strip()):
        end += 1
    while end < len(lines) and not lines[end][:4].isdigit():  # the error itself may have several lines
        end += 1
    return "\n".join(lines[starts[-1] : end])
