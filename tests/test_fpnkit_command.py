"""The command `fpnkit`, as it is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fpnkit import __version__
from fpnkit.__main__ import COMMANDS, main

SCRIPT = Path(sys.executable).with_name("fpnkit")


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT, "runs", "--base-dir", tmp_path], capture_output=True, text=True)
    same = subprocess.run([sys.executable, "-m", "fpnkit.runs", "--base-dir", tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (same.returncode, same.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as asked:
        main([name, "--help"])
    assert asked.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: fpnkit {name}")
    assert f"python -m fpnkit.{name}" not in said


def test_errors_name_the_command_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "fpnkit train: required --config FILE, or --resume RUN\n"
    assert main(["trian"]) == 2
    known = ", ".join(COMMANDS)
    assert capsys.readouterr().err == f"fpnkit trian: required one of {known}, found trian; did you mean train?\n"


def test_without_a_command_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fpnkit {__version__}\n"


def completed(line: str) -> set[str]:
    """What the tab key offers at the end of the line."""
    environment = {
        **os.environ,
        **{"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"},
        "_ARGCOMPLETE_IFS": "\n",
    }
    shell = 'exec 8>&1 9>/dev/null 1>/dev/null; "$0"'
    done = subprocess.run(["bash", "-c", shell, str(SCRIPT)], env=environment, capture_output=True, text=True)
    return {word.strip() for word in done.stdout.splitlines()}


def test_the_tab_key_knows_commands_and_their_options() -> None:
    assert completed("fpnkit ") >= set(COMMANDS)
    assert completed("fpnkit tr") == {"train"}
    assert completed("fpnkit evaluate --q") == {"--qualities"}
    assert {"--dry-run", "--resume"} <= completed("fpnkit train --")
