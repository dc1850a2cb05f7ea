"""Sweeps and runs for tests: a plan, and run directories as a trainer leaves them."""

import itertools
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from fpnkit.config.load import load_config, parse_override, plain, to_yaml
from fpnkit.config.schema import CodecConfig
from fpnkit.foundation import clock
from fpnkit.foundation.files import write_json, write_text
from fpnkit.foundation.processes import host_name
from fpnkit.launch.sweep import Sweep, new_sweep
from fpnkit.runs import layout
from fpnkit.runs.create import create_run_directory
from fpnkit.runs.record import ConfigSummary, RunRecord, record_to_dict
from tests.support import warm

_NUMBERS = itertools.count()


def sweep(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The command, in a process."""
    return warm.run([sys.executable, "-m", "fpnkit.sweep", *map(str, arguments)], **options)


def plan(config: Path, lambdas: list[float], seeds: list[int] | None = None, *overrides: str) -> Sweep:
    return new_sweep(config, load_config(config, [parse_override(each) for each in overrides]), lambdas, seeds or [0])


def make_run(
    base: Path,
    config: CodecConfig,
    end: tuple[str, int] | str = ("finished", 0),
    *,
    sweep: str | None = None,
    last: bool = True,
    size_bytes: int = 2_000_000,
) -> Path:
    """A run directory of these settings, newer than the one made before: ended after 60 s, killed, or running."""
    lmbda, lr, batch_size = config.loss.lmbda, config.training.lr, config.training.batch_size
    created = clock.now() + timedelta(seconds=next(_NUMBERS))
    path = create_run_directory(base, layout.run_name(created, lmbda, lr, batch_size))
    record = RunRecord(
        id=path.name,
        name=path.name,
        kind="fpn_compression",
        created=clock.to_text(created),
        pid=1,
        pid_created="2000-01-01T00:00:00+00:00",
        pid_start="no boot/0",
        host="far" if end == "running" else host_name(),  # where a heartbeat is all that there is
        heartbeat=clock.to_text(clock.now()),
        heartbeat_seconds=1000,  # fresh for as long as a test may take
        started=clock.to_text(created - timedelta(seconds=60)),
        ended=None if isinstance(end, str) else clock.to_text(created),
        exit_reason=None if isinstance(end, str) else end[0],
        exit_code=None if isinstance(end, str) else end[1],
        epoch=config.training.epochs,
        epochs=config.training.epochs,
        config=ConfigSummary(lmbda, lr, batch_size, "factorized", "shapes_fcos", "shapes", config.seed),
        sweep=sweep,
        size_bytes=size_bytes,
    )
    write_json(path / layout.RUN_JSON, record_to_dict(record))
    write_text(path / layout.CONFIG_USED, to_yaml(plain(config)))
    if last:
        (path / layout.LAST).write_bytes(bytes(1000))
    return path
