"""The output of a process as people want to see it: its last lines, and why it failed."""

from __future__ import annotations

import os
from pathlib import Path

_READ = 64 * 1024  # bytes; of a log of any length
_TRACEBACK = "Traceback (most recent call last):"
_OF_A_SWEEP = ("sweep ", "[", "lambda ")  # how its own lines begin
_NOTHING_SAID = "it ended without a word, as a process does that is killed"


def last_lines(path: Path, count: int) -> list[str]:
    """At most so many; none if there is no such file. A progress bar that was drawn over itself is its last state."""
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


def last_failure(path: Path, module: str) -> str | None:
    """What a command said last when it failed: its traceback or message, else the last line.

    None for a sweep that got beyond its beginning and says neither: it may have ended well, and what the trainers
    before its last own line complained of is theirs.
    """
    lines = last_lines(path, 1000)
    going = _OF_A_SWEEP if module == "fpnkit.sweep" else ()
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith((_TRACEBACK, f"{module}: ")):
            return "\n".join(lines[start:]).strip()
        if lines[start].startswith(going):
            return None
    return next((line for line in reversed(lines) if line.strip()), _NOTHING_SAID)


def interrupted(failure: str, module: str) -> bool:
    """Whether what `last_failure` found, of a command that was asked to stop, is no more than that it did."""
    if not failure.startswith((_TRACEBACK, f"{module}: ")):
        return True  # a signal ended it
    last = failure.splitlines()[-1]
    return last.startswith(("KeyboardInterrupt", f"{module}: interrupted before "))


def last_traceback(path: Path) -> str | None:
    """The last one in a log, up to the next record of the log; None where there is none."""
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
