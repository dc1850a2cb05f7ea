"""What people see of a process's output."""

from pathlib import Path

import pytest

from fpnkit.launch.output import first_lines, interrupted, last_failure, last_lines, last_traceback

CRASH = "Traceback (most recent call last):\n  File x, line 1, in y\nImportError: no\n  such thing"
TABLE = "lambda  seed  run  status\n1e-3    0     -    missing"


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
    ("text", "failure"),
    [
        (f"INFO x\n{CRASH}\n", CRASH),
        (f"{CRASH}\nfpnkit.train: config: wrong\nand wrong\n", "fpnkit.train: config: wrong\nand wrong"),
        ("reading\nKilled\n\n", "Killed"),
        ("", "it ended without a word, as a process does that is killed"),
    ],
)
def test_why_a_trainer_failed(text: str, failure: str, log: Path) -> None:
    log.write_text(text)
    assert last_failure(log, "fpnkit.train") == failure


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (f"sweep x: 1 to train\n[1/1] lambda 1e-3: training\n{CRASH}\n{TABLE}\n1 of 1 not finished", None),
        ("sweep x: 1 to train\n[1/1] lambda 1e-3: training\nepoch 1\n", None),  # killed
        (f"sweep x: 1 to train\n[1/1] lambda 1e-3: training\n{CRASH}\n", CRASH),
        (f"{CRASH}\n", CRASH),
        ("fpnkit.sweep: --lambdas x: wrong\n", "fpnkit.sweep: --lambdas x: wrong"),
        ("python: No module named fpnkit\n", "python: No module named fpnkit"),
    ],
)
def test_why_a_sweep_failed_if_it_did(text: str, failure: str | None, log: Path) -> None:
    log.write_text(text)
    assert last_failure(log, "fpnkit.sweep") == failure


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", True),
        ("INFO: codec factorized: 1234 parameters\n", True),  # SIGTERM
        (f"{CRASH}\n\nDuring that:\n\nTraceback (most recent call last):\n  File x\nKeyboardInterrupt\n", True),
        ("fpnkit.train: interrupted before training began; no run directory was made\n", True),
        (f"{CRASH}\n", False),
        ("fpnkit.train: data.train.images: no such directory\n", False),
    ],
)
def test_what_a_command_that_was_asked_to_stop_says_of_that_and_what_is_another_matter(
    text: str, answer: bool, log: Path
) -> None:
    log.write_text(text)
    assert interrupted(last_failure(log, "fpnkit.train") or "", "fpnkit.train") == answer


def test_the_traceback_in_a_log_ends_where_the_next_record_begins(log: Path) -> None:
    log.write_text(f"2026-01-01 INFO x\n2026-01-01 ERROR crashed\n{CRASH}\n2026-01-01 INFO after\n")
    assert last_traceback(log) == CRASH
    log.write_text("2026-01-01 INFO x\n")
    assert last_traceback(log) is None
