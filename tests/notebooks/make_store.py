"""Runs for notebooks and panels to look at: five small trainings, and what is left of three that did not end well.

python tests/notebooks/make_store.py FOLDER      # FPNKIT_HOME=FOLDER then shows them

The trainings are real ones on built-in images. Their times are set to fixed ones afterwards, in names and files, so
that what a notebook shows of them is the same every time.
"""

import contextlib
import io
import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch

from fpnkit import train
from fpnkit.runs import clock, layout

LAMBDAS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3)
START = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
CONFIG = """\
# The quickest training that still learns something: five of them in half a minute.
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 24, seed: 3}
  val: {kind: shapes, images: 8, seed: 4}
cache: {directory: FEATURES}
codec: {kind: factorized, channels: 16, latent_channels: 16}
loss: {lambda: 2.5e-4}
training: {epochs: 6, batch_size: 4, lr: 2e-3, crop: 128, log_every: 2, keep_best: 1, device: cpu}
"""


def make_store(folder: Path) -> None:
    """Fill `folder` so that it can be FPNKIT_HOME."""
    torch.set_num_threads(1)  # the order of sums, and with it the last digits, must not depend on the machine
    base_dir = folder / "checkpoints" / "fpn_compression"
    base_dir.mkdir(parents=True)
    config = folder / "quick.yaml"
    config.write_text(CONFIG.replace("FEATURES", str(folder / "features")))
    finished = [_train(config, base_dir, lmbda) for lmbda in LAMBDAS]
    runs = [_at(run, START + timedelta(minutes=10 * number)) for number, run in enumerate(finished)]
    # None of these can be had from a short training without luck: copies, with the facts of run.json changed.
    _ended_otherwise(runs[1], -10, {"exit_code": 130, "exit_reason": "SIGINT", "epoch": 4})
    _ended_otherwise(runs[3], -20, {"exit_code": 1, "exit_reason": "DivergedError: loss is NaN at step 11", "epoch": 2})
    killed = {"exit_code": None, "exit_reason": None, "ended": None, "epoch": 3, "pid": 2**22 + 1}  # above every pid
    _ended_otherwise(runs[4], -30, killed)
    broken = _ended_otherwise(runs[0], -40, {})
    (broken / layout.RUN_JSON).write_text("{")
    os.utime(broken, (START.timestamp() - 2400,) * 2)  # all that is known of when it was made
    (runs[2] / layout.NOTE).write_text("keeps small objects\n")
    (runs[2] / layout.TAGS).write_text('["paper"]\n')


def _train(config: Path, base_dir: Path, lmbda: float) -> Path:
    """In this process: five processes would load torch five times."""
    arguments = ["--config", str(config), "--lambda", str(lmbda), "--base-dir", str(base_dir)]
    sys.orig_argv = ["python", "-m", "fpnkit.train", *arguments]  # goes into command_args.txt
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = train.main(arguments)
    assert code == 0, f"a training ended with code {code}"
    return Path(printed.getvalue().splitlines()[-1])


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
    end = created + timedelta(minutes=record["epochs"])
    times = {"created": created, "started": created, "heartbeat": end, "ended": end}
    record |= {key: clock.to_text(time) for key, time in times.items()}
    _write(target, record | {"name": target.name, "size_bytes": 250_000})
    return target


def _ended_otherwise(run: Path, minutes: int, facts: dict[str, Any]) -> Path:
    record = _read(run)
    config, created = record["config"], START + timedelta(minutes=minutes)
    copy = run.with_name(layout.run_name(created, config["lmbda"], config["lr"], config["batch_size"]))
    shutil.copytree(run, copy)
    _write(copy, record | {"name": copy.name, "created": clock.to_text(created), **facts})
    return copy


def _read(run: Path) -> dict[str, Any]:
    record = json.loads((run / layout.RUN_JSON).read_text())
    assert isinstance(record, dict)
    return record


def _write(run: Path, record: dict[str, Any]) -> None:
    (run / layout.RUN_JSON).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
