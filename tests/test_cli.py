"""What all commands do the same way, on a command that does one thing."""

import argparse
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit import cli
from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation.process_record import VARIABLE, Caution, ProcessRecord, read_process_record
from tests.support.run_processes import python

Work = Callable[[argparse.Namespace, cli.Session], int | None]
DOC = "Do one thing: python -m fpnkit.one\n\nAnd more about it."


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ProcessRecord]:
    file = tmp_path / "record"
    monkeypatch.setenv(VARIABLE, str(file))
    return lambda: read_process_record(file)


def run(work: Work, *arguments: str) -> int:
    parser = cli.command_parser("fpnkit.one", DOC)
    cli.add_base_dir(parser)
    cli.add_settings(parser, ["--epochs"])
    return cli.run(parser, arguments, work, interrupted="interrupted; nothing was made")


def raising(error: BaseException) -> Work:
    def work(options: argparse.Namespace, session: cli.Session) -> None:
        raise error

    return work


def interrupting(options: argparse.Namespace, session: cli.Session) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    session.early.check()


def with_note(error: FpnkitError) -> FpnkitError:
    error.add_note("complete are 2 files")
    return error


@pytest.mark.parametrize(
    ("work", "code", "said", "outcome", "reason"),
    [
        (lambda options, session: None, 0, "", "finished", None),
        (lambda options, session: 130, 130, "", "stopped", None),
        (lambda options, session: 1, 1, "", "failed", None),
        (raising(RunError("run x: none")), 2, "fpnkit.one: run x: none\n", "refused", "run x: none"),
        (raising(RunError("a\x1b[2J\nb")), 2, "fpnkit.one: a\\x1b[2J\nb\n", "refused", "a\x1b[2J\nb"),
        (
            raising(with_note(FpnkitError("disk: full"))),
            1,
            "fpnkit.one: disk: full\ncomplete are 2 files\n",
            "failed",
            "disk: full",
        ),
        (
            interrupting,
            130,
            "fpnkit.one: interrupted; nothing was made\n",
            "interrupted",
            "interrupted; nothing was made",
        ),
    ],
    ids=["done", "stopped", "failed", "wrong input", "names of a stranger", "error with a note", "interrupt"],
)
def test_how_a_command_ends_is_its_exit_code_one_message_and_its_outcome(
    work: Work,
    code: int,
    said: str,
    outcome: str,
    reason: str | None,
    record: Callable[[], ProcessRecord],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run(work) == code
    assert capsys.readouterr() == ("", said)
    assert (record().outcome, record().reason) == (outcome, reason)
    assert signal.getsignal(signal.SIGINT) == before


def test_what_no_one_expected_passes_and_is_recorded(record: Callable[[], ProcessRecord]) -> None:
    with pytest.raises(KeyError):
        run(raising(KeyError("p2")))
    assert (record().outcome, record().reason) == ("failed", "KeyError: 'p2'")


def test_arguments_that_are_wrong_are_refused_as_settings_are(
    record: Callable[[], ProcessRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run(lambda options, session: None, "--epoch")
    assert (left.value.code, record().outcome) == (2, "refused")
    assert "usage: python -m fpnkit.one" in capsys.readouterr().err
    assert run(lambda options, session: None, "--base-dir", "") == 2
    told = "fpnkit.one: --base-dir: required a directory, found an empty name\n"
    assert capsys.readouterr().err == told


def test_a_warning_that_is_logged_is_recorded_with_its_kind(record: Callable[[], ProcessRecord]) -> None:
    log = logging.getLogger("fpnkit.somewhere")

    def work(options: argparse.Namespace, session: cli.Session) -> None:
        log.warning("lambda %g is too small", 1e-9, extra={"kind": "collapse"})
        log.warning("of no kind")
        log.error("no warning")

    assert run(work) == 0
    log.warning("after the end")
    assert record().warnings == (Caution("collapse", "lambda 1e-09 is too small"), Caution("other", "of no kind"))


def test_flags_set_keys_as_set_does() -> None:
    found: list[tuple[tuple[str, ...], object, str]] = []

    def work(options: argparse.Namespace, session: cli.Session) -> None:
        found.extend((each.path, each.value, each.origin) for each in cli.overrides(options))
        found.append((("base_dir",), cli.base_dir(options), ""))

    run(work, "--set", "seed=1", "--epochs", "3", "--base-dir", "runs")
    assert found == [
        (("seed",), 1, "--set seed=1"),
        (("training", "epochs"), 3, "--epochs 3"),
        (("base_dir",), Path("runs"), ""),
    ]


@pytest.mark.parametrize(
    ("only_prints", "ended"), [(True, (0, "")), (False, (1, "fpnkit.one: standard output was closed\n"))]
)
def test_a_reader_that_has_seen_enough_is_no_failure_of_what_only_prints(
    only_prints: bool, ended: tuple[int, str]
) -> None:
    code = (
        "import sys; from fpnkit import cli\n"
        "parser = cli.command_parser('fpnkit.one', None)\n"
        f"parser.set_defaults(only_prints={only_prints})\n"
        "sys.exit(cli.run(parser, [], lambda options, session: print('x' * 10**6)))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    assert (process.wait(timeout=30), said) == ended


def test_it_is_cheap_to_import() -> None:
    heavy = ["torch", "numpy", "pandas", "pydantic", "yaml", "rich"]
    done = python(f"import sys, fpnkit.cli; print([name for name in {heavy} if name in sys.modules])")
    assert done.stdout == "[]\n"
