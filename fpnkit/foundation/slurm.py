"""Slurm's commands, as facts. Nothing here knows what the jobs do.

States are Slurm's own words, such as PENDING or OUT_OF_MEMORY. One `squeue` call answers for all jobs of this user, and
its answer serves for some seconds, however many runs are looked at.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.errors import FpnkitError, UserError

_FRESH_SECONDS, _UNANSWERED_SECONDS = 2.0, 10.0  # for which an answer, or none, serves
_PATIENCE_SECONDS = 5.0  # for an answer; without its controller Slurm would try for minutes
_SUBMIT_SECONDS = 60.0
_FORMAT = "%i|%T|%r|%N"
_OUTPUT_BYTES = 20_000

_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
_WORKING = {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
_ENDS = {
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "time limit",
    "NODE_FAIL": "node failure",
    "CANCELLED": "cancelled",
    "PREEMPTED": "preempted",
    "BOOT_FAIL": "the node did not boot",
    "DEADLINE": "deadline",
    "REVOKED": "revoked",
}
# What slurmstepd writes into a job's output: the only record where there is no accounting.
_WRITTEN = (
    (re.compile(r"DUE TO TIME LIMIT"), "TIMEOUT"),
    (re.compile(r"DUE TO PREEMPTION"), "PREEMPTED"),
    (re.compile(r"DUE TO NODE FAILURE"), "NODE_FAIL"),
    (re.compile(r"oom[-_ ]kill|Out Of Memory", re.IGNORECASE), "OUT_OF_MEMORY"),
    (re.compile(r"CANCELLED AT \S+ \*\*\*"), "CANCELLED"),
)
_BY_STEPD = re.compile(r"^slurmstepd(-\S+)?: ")


class SchedulerError(FpnkitError):
    """Slurm is not here or does not answer."""


@dataclass(frozen=True)
class Job:
    """A job, or a task of a job array, as `squeue` shows it."""

    id: str  # 77, or 77_3 of an array
    state: str
    reason: str  # of waiting
    nodes: str

    @property
    def waits(self) -> bool:
        """Whether it has not begun, or is to begin again."""
        return self.state in _WAITING

    @property
    def lives(self) -> bool:
        """Whether it waits or has not quite ended."""
        return self.waits or self.state in _WORKING

    @property
    def told(self) -> str:
        """Its state, for people."""
        if self.waits:
            return f"job {self.id}: {'pending' if self.reason == 'None' else self.reason}"
        if self.state == "COMPLETING":
            return f"job {self.id}: ending"
        return f"job {self.id}: {self.state.lower()} on {self.nodes}"


def is_here() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None and shutil.which("squeue") is not None


def require_here() -> None:
    """Raise `UserError` without Slurm's commands."""
    if not is_here():
        raise UserError("required Slurm's commands, such as sbatch and squeue, found none on this machine")


def find(job: str) -> Job | None:
    """The job; None if the queue no longer has it, or if the scheduler cannot be asked, see `answers`."""
    return (_queue.jobs() or {}).get(job)


def answers() -> bool:
    """Whether the scheduler said what it has, within the last seconds."""
    return _queue.jobs() is not None


def ask_again() -> None:
    """Forget the last answer."""
    _queue.forget()


def submit(script: str, options: Sequence[str]) -> str:
    """Give a script to `sbatch` and return the job's id.

    Raises `UserError` with sbatch's words if it refuses, and without Slurm; `SchedulerError` if it does not answer.
    """
    out = _sbatch(["--parsable", *options], script)
    ask_again()
    return out.strip().partition(";")[0]


def require_accepted(script: str, options: Sequence[str]) -> None:
    """Let `sbatch` check a script without submitting it. Raises what `submit` raises."""
    _sbatch(["--test-only", *options], script)


def cancel(*jobs: str, signal: str | None = None) -> None:
    """End jobs: SIGTERM, and SIGKILL half a minute later by default; or send all their processes a signal.

    SIGKILL comes at once, which by itself Slurm precedes by SIGTERM. Raises `SchedulerError`.
    """
    how = [] if signal is None else [f"--signal={signal}"]
    if signal == "KILL":
        with contextlib.suppress(SchedulerError):  # one that is only about to begin has no step
            _ask(["scancel", *how, *(f"{job}.0" for job in jobs)])
        how = ["--quiet"]  # about those that have ended by it
    _ask(["scancel", *how, *jobs])
    ask_again()


def requeue(job: str) -> None:
    """Let a job wait and begin anew; what runs of it is ended. Raises `SchedulerError`."""
    _ask(["scontrol", "requeue", job])


def own_job() -> str | None:
    """The job that this process is part of."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def why_ended(job: str, output: Path | None) -> str | None:
    """Why a job was ended from outside, for people; None if it was not, or nobody knows.

    From the queue, which remembers for minutes, else from accounting, else from what Slurm wrote into its output.
    """
    if (found := find(job)) is not None and not found.lives:
        return _ENDS.get(found.state)
    state = _accounted(job) or (None if output is None else _written(output))
    return None if state is None else _ENDS.get(state)


class _Queue:
    """The last answer of `squeue`, shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: Mapping[str, Job] | None = None
        self._until = 0.0

    def jobs(self) -> Mapping[str, Job] | None:
        """All jobs of this user by id, also those that ended minutes ago; None without an answer."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._jobs = _read_queue()
                fresh = _UNANSWERED_SECONDS if self._jobs is None else _FRESH_SECONDS
                self._until = time.monotonic() + fresh
            return self._jobs

    def forget(self) -> None:
        with self._lock:
            self._until = 0.0


_queue = _Queue()


def _read_queue() -> dict[str, Job] | None:
    if shutil.which("squeue") is None:
        return None
    try:
        user = f"--user={os.getuid()}"
        out = _ask(["squeue", "--noheader", "--array", "--states=all", user, f"--format={_FORMAT}"])
    except SchedulerError:
        return None
    jobs = (Job(*line.split("|", 3)) for line in out.splitlines() if line.count("|") >= 3)
    return {job.id: job for job in jobs}


@functools.cache  # what has ended stays ended
def _accounted_once(job: str) -> str | None:
    try:
        out = _ask(["sacct", "--jobs", job, "--allocations", "--noheader", "--parsable2", "--format=State"])
    except SchedulerError:
        return None
    states = out.split("\n")[0].split()
    return states[0] if states else None  # `CANCELLED by 1000`


def _accounted(job: str) -> str | None:
    return _accounted_once(job) if _has_accounting() else None


@functools.cache
def _has_accounting() -> bool:
    if shutil.which("sacct") is None:
        return False
    try:
        _ask(["sacct", "--noheader", "--jobs=0"])
    except SchedulerError:
        return False
    return True


def _written(output: Path) -> str | None:
    """What slurmstepd wrote last. A requeued job goes on in the same file."""
    try:
        with open(output, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _OUTPUT_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if _BY_STEPD.match(line):
            return next((state for pattern, state in _WRITTEN if pattern.search(line)), None)
    return None


def _sbatch(options: Sequence[str], script: str) -> str:
    require_here()
    try:
        done = subprocess.run(
            ["sbatch", *options], input=script, capture_output=True, text=True, timeout=_SUBMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise SchedulerError(
            f"sbatch: no answer within {_SUBMIT_SECONDS:g} s; see squeue before trying again"
        ) from None
    if done.returncode == 0:
        return done.stdout
    said = _sentence(done.stderr)
    if "nable to contact slurm controller" in said or "onnection refused" in said:
        raise SchedulerError(f"sbatch: {said}")
    raise UserError(f"sbatch refused: {said}")


def _ask(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS)
    except FileNotFoundError:
        raise SchedulerError(f"required Slurm's command {command[0]}, found none on this machine") from None
    except subprocess.TimeoutExpired:
        raise SchedulerError(f"{command[0]}: no answer within {_PATIENCE_SECONDS:g} s") from None
    if done.returncode:
        raise SchedulerError(f"{command[0]}: {_sentence(done.stderr)}")
    return done.stdout


def _sentence(said: str) -> str:
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in said.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith("Try ")]
    return "; ".join(kept) or "it said nothing"
