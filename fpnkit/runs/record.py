"""run.json: facts about a run, written by its trainer."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec

from fpnkit.foundation import clock, records
from fpnkit.runs import layout

SCHEMA_VERSION = 1

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # a larger one means nothing


@dataclass(frozen=True)
class ConfigSummary:
    """The settings that lists show; `config_used.yaml` has all of them."""

    lmbda: float | None = None  # None: a detector
    lr: float | None = None
    batch_size: Integer | None = None
    codec: str | None = None
    detector: str | None = None
    dataset: str | None = None
    seed: Integer | None = None


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far."""

    epoch: Integer
    loss: float
    file: str  # name inside the run directory
    metrics: Mapping[str, Any] = field(default_factory=dict)
    model_hash: str | None = None  # 8 hex digits, in every file that this model codes; None: a detector, an older run


@dataclass(frozen=True)
class Parallel:
    """The processes that train one run together; by rank. Rank 0 writes the record."""

    world_size: Integer
    devices: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    pids: tuple[Integer, ...] = ()
    before: tuple[Integer, ...] = ()  # other numbers of processes that trained it earlier: not the same bit for bit


@dataclass(frozen=True)
class RunRecord:
    """run.json, key by key. The run's state follows from these facts, see `fpnkit.runs.status`."""

    id: str
    name: str
    kind: str
    created: str
    pid: Integer | None = None
    pid_created: str | None = None  # tells the process from a later one with the same pid
    pid_start: str | None = None  # the same where the clock may be set, see `status.process_start`
    host: str | None = None
    heartbeat: str | None = None  # last sign of life
    heartbeat_seconds: float = 10.0  # how often one is promised
    started: str | None = None  # of the process that trains or trained last
    ended: str | None = None
    exit_reason: str | None = None
    exit_code: Integer | None = None
    epoch: Integer = 0
    epochs: Integer | None = None
    step: Integer = 0
    config: ConfigSummary = ConfigSummary()
    best: Best | None = None
    last: Mapping[str, Any] | None = None  # a line as in metrics.jsonl; kept as it is, for lists of thousands
    sweep: str | None = None
    resumed: tuple[str, ...] = ()
    seconds_before: float = 0.0  # trained by earlier processes of this run
    seconds: float | None = None  # by this one, up to the heartbeat, whatever its clock did; None: an older run
    size_bytes: Integer = 0
    settings_hash: str | None = None  # of what defines the loss, see `fpnkit.config.identity`; None: an older run
    detector_fingerprint: str | None = None  # of the frozen detector; None: it is being trained, or an older run
    parallel: Parallel | None = None  # None: one process, as always


def record_to_dict(record: RunRecord) -> dict[str, Any]:
    """The content of run.json; NaN is still NaN."""
    return {"schema_version": SCHEMA_VERSION, **asdict(record)}


def read_record(run_dir: Path) -> RunRecord:
    """The record of a run. Raises RunError, see `records.read_record`."""
    path = os.path.join(run_dir, layout.RUN_JSON)  # a Path takes as long as the reading
    return records.read_record(path, RunRecord, SCHEMA_VERSION)


def trained_seconds(record: RunRecord, now: datetime | None = None) -> float:
    """Time of all processes that trained it, up to the last one's end or heartbeat; of an older run up to `now`."""
    if record.seconds is not None:
        return record.seconds_before + record.seconds
    started = clock.from_text(record.started)
    last = now or clock.from_text(record.ended) or clock.from_text(record.heartbeat)
    if started is None or last is None:
        return record.seconds_before
    return record.seconds_before + max(last - started, timedelta()).total_seconds()
