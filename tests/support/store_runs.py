"""Real runs, made in this process: each of its own would load torch again. Their times can be set."""

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fpnkit import train
from fpnkit.foundation import clock
from fpnkit.runs import layout


def train_run(arguments: list[str]) -> Path:
    """→ the directory of the run."""
    sys.orig_argv = ["python", "-m", "fpnkit.train", *arguments]  # goes into command_args.txt
    return Path(call(train.main, arguments).splitlines()[-1])


def call(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> str:
    """→ what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = command(arguments)
    assert code == 0, f"{command.__module__} ended with code {code}"
    return printed.getvalue()


def at(run: Path, created: datetime) -> Path:
    """Rename the run, and write its times, as if it had been created then and taken a minute an epoch."""
    record = read(run)
    old = clock.from_text(record["created"])
    assert old is not None
    config = record["config"]
    target = run.with_name(layout.run_name(created, config["lmbda"], config["lr"], config["batch_size"]))
    run.rename(target)
    log = target / layout.log_name(old)
    log.rename(target / layout.log_name(created))
    write(target, record | times(created, record["epochs"]) | {"name": target.name, "size_bytes": 250_000})
    return target


def times(created: datetime, epochs: int) -> dict[str, str]:
    """Entries of run.json."""
    end = created + timedelta(minutes=epochs)
    moments = {"created": created, "started": created, "heartbeat": end, "ended": end}
    return {key: clock.to_text(moment) for key, moment in moments.items()}


def read(run: Path) -> dict[str, Any]:
    """run.json."""
    record = json.loads((run / layout.RUN_JSON).read_text())
    assert isinstance(record, dict)
    return record


def write(run: Path, record: dict[str, Any]) -> None:
    """run.json."""
    (run / layout.RUN_JSON).write_text(json.dumps(record, indent=1) + "\n")
