"""What people see of a process's output."""

from pathlib import Path

import pytest

from fpnkit.launch.output import first_lines, last_lines, last_traceback, last_words

CRASH = "Traceback (most recent call last):\n  File x, line 1, in y\nImportError: no\n  such thing"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def test_the_last_lines_of_a_log_of_any_length(log: Path) -> None:
    assert (last_lines(log, 3), first_lines(log)) == ([], [])
    log.write_bytes(b"first\n" + b"x" * 200_000 + b"\n" + "bar 1 %\rbar 99 %\r\n\u00e9nd".encode() + b"\xff\n")
    assert last_lines(log, 2) == ["bar 99 %", "\u00e9nd\ufffd"]
    assert last_lines(log, 9) == ["bar 99 %", "\u00e9nd\ufffd"]  # the line before is longer than what is read
    assert first_lines(log)[0] == "first"


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        (f"INFO x\n{CRASH}\n", "ImportError: no", CRASH),
        (f"{CRASH}\n2026-01-01 INFO x\nconfig: wrong\n", "config: wrong", "config: wrong"),
        ("1\n2\n3\n4\n5\nKilled\n\n", None, "2\n3\n4\n5\nKilled"),
        ("", None, "it was ended before it wrote anything"),
    ],
)
def test_what_a_command_said_last(text: str, reason: str | None, said: str, log: Path) -> None:
    log.write_text(text)
    assert last_words(log, reason) == said


def test_the_traceback_in_a_log_ends_where_the_next_record_begins(log: Path) -> None:
    log.write_text(f"2026-01-01 INFO x\n2026-01-01 ERROR crashed\n{CRASH}\n2026-01-01 INFO after\n")
    assert last_traceback(log) == CRASH
    log.write_text("2026-01-01 INFO x\n")
    assert last_traceback(log) is None
