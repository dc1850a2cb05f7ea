"""command_args.txt, the record of the commands that trained a run, and the commands that continue it."""

import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from fpnkit.foundation import clock
from fpnkit.foundation.files import append_text
from fpnkit.runs import layout

_COMMAND = "command: "


def append_start(run_dir: Path, argv: Sequence[str], working_directory: str, start: datetime, commit: str) -> None:
    """Append a block for a process that trains the run; texts are already redacted. Raises StorageError."""
    path = run_dir / layout.COMMAND_ARGS
    gap = "\n" if path.exists() else ""
    append_text(
        path,
        f"{gap}start: {clock.to_text(start)}\n"
        f"working directory: {working_directory}\n"
        f"{_COMMAND}{shlex.join(argv)}\n"
        f"commit: {commit}\n",
    )


def append_end(run_dir: Path, end: datetime, wall_time: timedelta, reason: str, exit_code: int) -> None:
    """Close the block; after a kill it stays open. Raises StorageError."""
    append_text(
        run_dir / layout.COMMAND_ARGS,
        f"end: {clock.to_text(end)}\nwall time: {wall_time}\nexit: {reason} (code {exit_code})\n",
    )


def read_commands(run_dir: Path) -> list[str]:
    """The command lines of the run, oldest first; none if there is no such file."""
    try:
        text = (run_dir / layout.COMMAND_ARGS).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [line.removeprefix(_COMMAND) for line in text.splitlines() if line.startswith(_COMMAND)]


def resume_command(run_dir: Path) -> str:
    """The command that continues the run in its directory."""
    return shlex.join(["python", "-m", "fpnkit.train", "--resume", str(run_dir)])


def rerun_command(run_dir: Path) -> str:
    """The command that trains the same again in a new directory."""
    return shlex.join(["python", "-m", "fpnkit.train", "--config", str(run_dir / layout.CONFIG_USED)])
