"""job.json: the scheduler's job that trains a run, or is to go on with it.

Written by whoever hands the run to a scheduler, and by a trainer within a job; a trainer elsewhere removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fpnkit.foundation.files import parse_json, write_json
from fpnkit.runs import layout

SCHEMA_VERSION = 1
VARIABLE = "FPNKIT_JOB"  # tells a trainer which job it is part of


@dataclass(frozen=True)
class SchedulerJob:
    """A job."""

    id: str
    output: str  # path of what it prints


def read_job(run: Path) -> SchedulerJob | None:
    """None without one that this fpnkit can read."""
    try:
        data = parse_json((run / layout.JOB).read_bytes())
        if data["schema_version"] <= SCHEMA_VERSION and isinstance(data["id"], str):
            return SchedulerJob(data["id"], str(data["output"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def write_job(run: Path, job: SchedulerJob) -> None:
    """Raises StorageError."""
    write_json(run / layout.JOB, {"schema_version": SCHEMA_VERSION, **asdict(job)})


def hand_over(run: Path, job: SchedulerJob) -> None:
    """The job is to go on with the run; a STOP from before is not meant for it. Raises StorageError."""
    (run / layout.STOP).unlink(missing_ok=True)
    write_job(run, job)


def job_environment(job: SchedulerJob) -> dict[str, str]:
    """For a trainer within the job."""
    return {VARIABLE: json.dumps(asdict(job))}


def surrounding_job(environment: Mapping[str, str] = os.environ) -> SchedulerJob | None:
    """The job that this trainer was started in."""
    given = environment.get(VARIABLE)
    return SchedulerJob(**json.loads(given)) if given else None


def note_job(run: Path) -> None:
    """Write the surrounding job, or remove that of an earlier trainer. Raises StorageError."""
    job = surrounding_job()
    if job is not None:
        write_job(run, job)
    else:
        (run / layout.JOB).unlink(missing_ok=True)
