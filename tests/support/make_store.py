"""Runs for notebooks and panels to look at: the example sweep, and what is left of runs that did not end well.

python -m tests.support.make_store FOLDER      # FPNKIT_HOME=FOLDER then shows them

Trainings, evaluations and anchors are real ones on built-in images. Times are set to fixed ones afterwards, in names
and files, so that what a notebook shows is the same every time.
"""

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch

from fpnkit import evaluate, train
from fpnkit.anchors import __main__ as anchors_command
from fpnkit.config.load import load_config
from fpnkit.foundation import clock
from fpnkit.launch.sweep import new_sweep, write_sweep
from fpnkit.runs import layout
from tests.support.store import CONFIG_FILE

LAMBDAS = (3e-6, 2e-5, 1e-4, 5e-4, 2.5e-3)
START = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
_MEASURED = ("loss", "bpp_estimated", "distortion", "aux_loss", "snr_db", "bpp_level")
ANCHORS = ["--only", "jpeg_input", "--qualities", "5", "20", "50", "90"]


def make_store(folder: Path) -> None:
    """Fill `folder` so that it can be FPNKIT_HOME."""
    torch.set_num_threads(1)  # the order of sums, and with it the last digits, must not depend on the machine
    os.environ["FPNKIT_HOME"] = str(folder)
    base_dir = layout.default_base_dir("fpn_compression")
    base_dir.mkdir(parents=True)
    (folder / "configs").mkdir()
    config = Path(shutil.copy(CONFIG_FILE, folder / "configs"))
    cache = ["--set", f"cache.directory={folder / 'features'}"]
    finished = [train_run(["--config", str(config), "--lambda", str(lmbda), *cache]) for lmbda in LAMBDAS]
    runs = [_at(run, START + timedelta(minutes=20 * number)) for number, run in enumerate(finished)]
    write_sweep(base_dir, new_sweep(config, load_config(config), LAMBDAS, [0]))
    # A short training does not produce these reliably: copies, with the facts in run.json changed.
    _ended_otherwise(runs[1], -10, 8, {"exit_code": 130, "exit_reason": "SIGINT"})
    _ended_otherwise(runs[3], -20, 2, {"exit_code": 1, "exit_reason": "DivergedError: loss is NaN at step 31"})
    killed = {"exit_code": None, "exit_reason": None, "ended": None, "pid": 2**22 + 1}  # above every pid
    _ended_otherwise(runs[4], -30, 3, killed)
    broken = _ended_otherwise(runs[0], -40, 1, {})
    (broken / layout.RUN_JSON).write_text("{")
    os.utime(broken, (START.timestamp() - 2400,) * 2)  # all that is known of when it was made
    (runs[2] / layout.NOTE).write_text("keeps small objects\n")
    (runs[2] / layout.TAGS).write_text('["paper"]\n')
    call(evaluate.main, [str(run) for run in runs])
    call(anchors_command.main, ["--config", str(config), *ANCHORS])


def train_run(arguments: list[str]) -> Path:
    """→ the directory of the run."""
    sys.orig_argv = ["python", "-m", "fpnkit.train", *arguments]  # goes into command_args.txt
    return Path(call(train.main, arguments).splitlines()[-1])


def call(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> str:
    """→ what it printed. In this process: each of its own would load torch again."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = command(arguments)
    assert code == 0, f"{command.__module__} ended with code {code}"
    return printed.getvalue()


def _at(run: Path, created: datetime) -> Path:
    """Rename the run, and write its times, as if it had been created then and taken a minute an epoch."""
    record = _read(run)
    old = clock.from_text(record["created"])
    assert old is not None
    config = record["config"]
    target = run.with_name(layout.run_name(created, config["lmbda"], config["lr"], config["batch_size"]))
    run.rename(target)
    log = target / layout.log_name(old)
    log.rename(target / layout.log_name(created))
    _write(target, record | _times(created, record["epochs"]) | {"name": target.name, "size_bytes": 250_000})
    return target


def _times(created: datetime, epochs: int) -> dict[str, str]:
    end = created + timedelta(minutes=epochs)
    times = {"created": created, "started": created, "heartbeat": end, "ended": end}
    return {key: clock.to_text(time) for key, time in times.items()}


def _ended_otherwise(run: Path, minutes: int, epoch: int, facts: dict[str, Any]) -> Path:
    """A copy that got no further than this epoch."""
    record = _read(run)
    config, created = record["config"], START + timedelta(minutes=minutes)
    copy = run.with_name(layout.run_name(created, config["lmbda"], config["lr"], config["batch_size"]))
    shutil.copytree(run, copy)
    every = [json.loads(line) for line in (copy / layout.METRICS).read_text().splitlines()]
    lines = [line for line in every if line["epoch"] <= epoch]
    (copy / layout.METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    best = min((line for line in lines if line["split"] == "val"), key=lambda line: float(line["loss"]))
    record["best"] |= {"epoch": best["epoch"], "loss": best["loss"], "metrics": {key: best[key] for key in _MEASURED}}
    record |= {"name": copy.name, "epoch": epoch, "step": lines[-1]["step"], "last": lines[-1]}
    _write(copy, record | _times(created, epoch) | facts)
    return copy


def _read(run: Path) -> dict[str, Any]:
    record = json.loads((run / layout.RUN_JSON).read_text())
    assert isinstance(record, dict)
    return record


def _write(run: Path, record: dict[str, Any]) -> None:
    (run / layout.RUN_JSON).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
