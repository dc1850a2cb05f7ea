"""Homes of people who have just begun: no run, one that trains, one that was never evaluated."""

import json
import os
import shutil
from pathlib import Path

from fpnkit.foundation.processes import host_name, own_process, process_start
from fpnkit.runs import layout
from tests.support.store import CONFIG_FILE, store


def empty(home: Path) -> None:
    """As after the installation."""
    (home / "configs").mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIG_FILE, home / "configs")


def not_evaluated(home: Path) -> Path:
    """The one run, which has finished."""
    empty(home)
    source = max((store() / "checkpoints" / "fpn_compression").glob("run_*"))
    run = home / "checkpoints" / "fpn_compression" / source.name
    shutil.copytree(source, run, ignore=shutil.ignore_patterns(layout.EVALUATION))
    return run


def training(home: Path) -> Path:
    """The one run, in its first epoch, by this process."""
    run = not_evaluated(home)
    for weights in run.glob("*.pth"):
        weights.unlink()
    lines = (run / layout.METRICS).read_text().splitlines(keepends=True)[:2]
    (run / layout.METRICS).write_text("".join(lines))
    last = json.loads(lines[-1])
    pid, created = own_process()
    record = json.loads((run / layout.RUN_JSON).read_text())
    record |= {"pid": pid, "pid_created": created, "pid_start": process_start(os.getpid()), "host": host_name()}
    record |= {"ended": None, "exit_code": None, "exit_reason": None, "best": None}
    record |= {"epoch": 1, "step": last["step"], "last": last}
    (run / layout.RUN_JSON).write_text(json.dumps(record))
    return run
