"""run.json: the facts about a run that its trainer writes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import from_json
from fpnkit.runs import layout
from fpnkit.runs.metrics import as_number

SCHEMA_VERSION = 1

_LARGEST = 2**63  # of a whole number that means something


@dataclass(frozen=True)
class ConfigSummary:
    """The settings that tell runs apart in a list; `config_used.yaml` has all of them."""

    lmbda: float | None = None  # None: a detector
    lr: float | None = None
    batch_size: int | None = None
    codec: str | None = None
    detector: str | None = None
    dataset: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far."""

    epoch: int
    loss: float
    file: str  # name inside the run directory
    metrics: Mapping[str, Any] = field(default_factory=dict)
    model_hash: str | None = None  # 8 hex digits, in every file that this model codes; None: a detector, an older run


@dataclass(frozen=True)
class RunRecord:
    """run.json, key by key. What the run's state is follows from these facts, see `fpnkit.runs.status`."""

    id: str
    name: str
    kind: str
    created: str
    pid: int | None = None
    pid_created: str | None = None  # tells the process from a later one with the same pid
    pid_start: str | None = None  # the same where the clock may be set, see `status.process_start`
    host: str | None = None
    heartbeat: str | None = None  # last sign of life
    heartbeat_seconds: float = 10.0  # how often one is promised
    started: str | None = None  # of the process that trains or trained last
    ended: str | None = None
    exit_reason: str | None = None
    exit_code: int | None = None
    epoch: int = 0
    epochs: int | None = None
    step: int = 0
    config: ConfigSummary = ConfigSummary()
    best: Best | None = None
    last: Mapping[str, Any] | None = None  # a line as in metrics.jsonl; kept as it is, for lists of thousands
    sweep: str | None = None
    resumed: tuple[str, ...] = ()
    seconds_before: float = 0.0  # trained by earlier processes of this run
    size_bytes: int = 0
    settings_hash: str | None = None  # of what defines the loss, see `fpnkit.config.identity`; None: an older run
    detector_fingerprint: str | None = None  # of the frozen detector; None: it is being trained, or an older run


def record_to_dict(record: RunRecord) -> dict[str, Any]:
    """What stands in run.json; NaN is still NaN."""
    values = {item.name: getattr(record, item.name) for item in fields(record)}
    return (
        {"schema_version": SCHEMA_VERSION}
        | values
        | {
            "config": dict(vars(record.config)),
            "best": None if record.best is None else dict(vars(record.best)),
            "resumed": list(record.resumed),
        }
    )


def read_record(run_dir: Path) -> RunRecord:
    """The record of a run. Unknown keys are ignored.

    Raises RunError: missing, unreadable, empty, not JSON, without the keys that name a run, of a newer version.
    """
    path = os.path.join(run_dir, layout.RUN_JSON)  # a Path takes as long as the reading
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise RunError(f"{path}: does not exist") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        data = json.loads(text)
        if b"_repr" in text:  # looking for it takes longer than reading all the rest
            data = from_json(data)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: {'is not complete JSON' if text.strip() else 'is empty'}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path}: must hold a JSON object, found {type(data).__name__}")
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RunError(f"{path}: has schema version {version}, this fpnkit reads up to {SCHEMA_VERSION}; update fpnkit")
    lacking = [key for key in ("id", "name", "kind", "created") if not isinstance(data.get(key), str)]
    if lacking:
        raise RunError(f"{path}: lacks {', '.join(lacking)}")
    return _record_from_dict(data)


def trained_seconds(record: RunRecord, now: datetime | None = None) -> float:
    """Wall time of all processes that trained the run, up to the end, the last sign of life, or `now`."""
    started = clock.from_text(record.started)
    last = now or clock.from_text(record.ended) or clock.from_text(record.heartbeat)
    if started is None or last is None:
        return record.seconds_before
    return record.seconds_before + max(last - started, timedelta()).total_seconds()


def _record_from_dict(data: Mapping[str, Any]) -> RunRecord:
    """Fields of the wrong type are taken as not given."""
    return RunRecord(
        id=data["id"],
        name=data["name"],
        kind=data["kind"],
        created=data["created"],
        pid=_integer(data, "pid"),
        pid_created=_text(data, "pid_created"),
        pid_start=_text(data, "pid_start"),
        host=_text(data, "host"),
        heartbeat=_text(data, "heartbeat"),
        heartbeat_seconds=_number(data, "heartbeat_seconds") or RunRecord.heartbeat_seconds,
        started=_text(data, "started"),
        ended=_text(data, "ended"),
        exit_reason=_text(data, "exit_reason"),
        exit_code=_integer(data, "exit_code"),
        epoch=_integer(data, "epoch") or 0,
        epochs=_integer(data, "epochs"),
        step=_integer(data, "step") or 0,
        config=_config(_mapping(data, "config")),
        best=_best(_mapping(data, "best")),
        last=_mapping(data, "last") or None,
        sweep=_text(data, "sweep"),
        resumed=_texts(data, "resumed"),
        seconds_before=_number(data, "seconds_before") or 0.0,
        size_bytes=_integer(data, "size_bytes") or 0,
        settings_hash=_text(data, "settings_hash"),
        detector_fingerprint=_text(data, "detector_fingerprint"),
    )


def _config(data: Mapping[str, Any]) -> ConfigSummary:
    return ConfigSummary(
        lmbda=_number(data, "lmbda"),
        lr=_number(data, "lr"),
        batch_size=_integer(data, "batch_size"),
        codec=_text(data, "codec"),
        detector=_text(data, "detector"),
        dataset=_text(data, "dataset"),
        seed=_integer(data, "seed"),
    )


def _best(data: Mapping[str, Any]) -> Best | None:
    epoch, loss, file = _integer(data, "epoch"), _number(data, "loss"), _text(data, "file")
    if epoch is None or loss is None or file is None:
        return None
    return Best(epoch, loss, file, _mapping(data, "metrics"), _text(data, "model_hash"))


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None


def _integer(data: Mapping[str, Any], key: str) -> int | None:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST else None


def _number(data: Mapping[str, Any], key: str) -> float | None:
    return as_number(data.get(key))


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
