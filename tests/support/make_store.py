"""Runs for notebooks and panels to look at, as they lie in a lab: the example sweep, what is left of runs that did not
end well, and older runs of other detectors, data sets and codecs.

python -m tests.support.make_store FOLDER      # FPNKIT_HOME=FOLDER then shows them

Trainings, evaluations and anchors are real ones on built-in images. Times are set to fixed ones afterwards, in names
and files, so that what a notebook shows is the same every time.
"""

import json
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from fpnkit import evaluate
from fpnkit.anchors import __main__ as anchors_command
from fpnkit.config.load import load_config
from fpnkit.launch.sweep import new_sweep, write_sweep
from fpnkit.runs import layout
from tests.support.other_runs import START, make_others
from tests.support.store import CONFIG_FILE
from tests.support.store_runs import at, call, read, times, train_run, write

LAMBDAS = (3e-6, 2e-5, 1e-4, 5e-4, 2.5e-3)
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
    runs = [at(run, START + timedelta(minutes=20 * number)) for number, run in enumerate(finished)]
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
    make_others(folder)


def _ended_otherwise(run: Path, minutes: int, epoch: int, facts: dict[str, Any]) -> Path:
    """A copy that got no further than this epoch."""
    record = read(run)
    config, created = record["config"], START + timedelta(minutes=minutes)
    copy = run.with_name(layout.run_name(created, config["lmbda"], config["lr"], config["batch_size"]))
    shutil.copytree(run, copy)
    every = [json.loads(line) for line in (copy / layout.METRICS).read_text().splitlines()]
    lines = [line for line in every if line["epoch"] <= epoch]
    (copy / layout.METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    best = min((line for line in lines if line["split"] == "val"), key=lambda line: float(line["loss"]))
    record["best"] |= {"epoch": best["epoch"], "loss": best["loss"], "metrics": {key: best[key] for key in _MEASURED}}
    record |= {"name": copy.name, "epoch": epoch, "step": lines[-1]["step"], "last": lines[-1]}
    write(copy, record | times(created, epoch) | facts)
    return copy


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
