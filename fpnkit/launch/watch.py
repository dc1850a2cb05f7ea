"""The state of a training, by the path of its run directory or of its launch record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpnkit.errors import RunError
from fpnkit.foundation import slurm, text
from fpnkit.foundation.process_record import Doing, Phase, at_work
from fpnkit.launch.launchers import facts, find, load, look
from fpnkit.launch.output import last_traceback, last_words
from fpnkit.launch.protocol import FOLDER, SWEEP, TRAIN, Launch, ProcessState
from fpnkit.launch.queue import jobs, sweep_of, with_jobs, without_run
from fpnkit.launch.stop import asked
from fpnkit.launch.sweep import SweepPoint, is_plan, sweep_path, sweep_state
from fpnkit.runs import layout
from fpnkit.runs.job import read_job
from fpnkit.runs.record import RunRecord, read_record
from fpnkit.runs.status import GOING_ON, status_of
from fpnkit.runs.store import RunInfo, list_runs

STARTING, FAILED, ENDED = "starting", "failed", "ended"  # beside the status words of runs
_BEFORE_IT_BEGAN = "stopped before it began"
_GONE = "its run directory is gone"
_NO_ANSWER = "the scheduler does not answer"


@dataclass(frozen=True)
class TrainingState:
    """The state of a training at one moment."""

    name: str
    status: str  # a run's; without one `starting`, `stopped` or `failed`; a sweep's process is `running` or `ended`
    running: bool
    reason: str | None = None
    run: Path | None = None  # of a sweep: the one that runs, else the last that did
    record: RunRecord | None = None  # of that run
    log: Path | None = None  # the newest
    phase: Phase | None = None  # of what was launched and has no run to show yet
    since: str | None = None  # ISO 8601: the phase, or that of the command that a sweep waits for, began
    doing: Doing | None = None
    failure: str | None = None  # traceback or message
    sweep: tuple[SweepPoint, ...] = ()
    plan: Path | None = None  # of that sweep
    asked: bool = False  # to stop, by whoever
    scheduled: bool = False  # a scheduler has it, or had it when it ended


@dataclass(frozen=True)
class Choice:
    """A running training, for a list to choose from."""

    path: Path  # for `see`
    label: str


def see(path: Path) -> TrainingState:
    """Look at a run directory, a launch, or a sweep's plan. Raises RunError if there is none of them any more."""
    path = followed(path)
    if is_plan(path):
        return _see_plan(path)
    if path.parent.name != FOLDER:
        return _see_run(path)
    launched = load(path)
    return _see_sweep(launched) if launched.module == SWEEP else _see_launched(launched)


def followed(path: Path) -> Path:
    """The training that a command has handed to a scheduler, if the path is that of its launch; else the path.

    What goes on with a run is that run. Raises RunError.
    """
    if path.parent.name != FOLDER:
        return path
    launched = load(path)
    if (elsewhere := facts(launched).launched) is not None and not launched.lives() and Path(elsewhere).exists():
        launched = load(Path(elsewhere))
    argv = launched.argv
    if launched.scheduled and "--resume" in argv:
        run = Path(argv[argv.index("--resume") + 1])
        return run if layout.is_run_directory(run) else launched.file
    return launched.file


def running(base_dir: Path, runs: Sequence[RunInfo] | None = None) -> list[Choice]:
    """Everything that is running, starting or queued in a base directory, newest first of each.

    `runs` are its runs, if already known.
    """
    return [*of_processes(base_dir, runs), *_of_schedulers(base_dir)]


def of_processes(base_dir: Path, runs: Sequence[RunInfo] | None = None) -> list[Choice]:
    """Without what a scheduler has, unless it is a run."""
    sweeps, starting = [], []
    for launched in find(base_dir):
        if launched.scheduled or not launched.lives():
            continue
        if launched.module == SWEEP:
            sweeps.append(Choice(launched.file, f"sweep {facts(launched).sweep or 'about to start'}"))
        elif (seen := look(launched, 0)).run is None:
            told = f": {_GONE}" if seen.record.run else ", about to start"
            starting.append(Choice(launched.file, f"{launched.label}{told}"))
    try:
        runs = list_runs(base_dir) if runs is None else runs
    except RunError:  # no such directory yet
        runs = []
    found = sorted((run for run in runs if run.status in GOING_ON), key=_created, reverse=True)
    return [*sweeps, *starting, *(Choice(run.path, _label(run)) for run in found)]


def _of_schedulers(base_dir: Path) -> list[Choice]:
    """A sweep is one choice, however many of its runs wait."""
    sweeps: dict[str, list[Launch]] = {}
    alone: list[Launch] = []
    for each in jobs(base_dir):
        sweep = sweep_of(each)
        (alone if sweep is None else sweeps.setdefault(sweep, [])).append(each)
    choices = []
    for sweep, own in sweeps.items():
        begun = sum(each.begun for each in own)
        counts = {"running": begun, "queued": len(own) - begun}
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        choices.append(Choice(_sweep_to_see(base_dir, sweep), f"sweep {sweep}: {told}"))
    return choices + [Choice(each.launch.file, each.describe) for each in without_run(alone)]


def _sweep_to_see(base_dir: Path, sweep: str) -> Path:
    """The newest command that submitted it, which can be given again; else its plan."""
    commands = (each for each in find(base_dir) if each.module == SWEEP and facts(each).sweep == sweep)
    first = next(commands, None)
    return sweep_path(base_dir.absolute(), sweep) if first is None else first.file


def _created(run: RunInfo) -> float:
    return run.created.timestamp() if run.created else 0.0


def _label(run: RunInfo) -> str:
    parts = [text.printable(layout.short_name(run.name))]
    parts += [f"λ {text.rate(run.lmbda)}"] if run.lmbda is not None else []
    parts += [f"epoch {run.epoch}/{run.epochs}"] if run.epochs else []
    return " · ".join(parts)


def _see_launched(launched: Launch) -> TrainingState:
    seen = look(launched, 0)
    if seen.run is not None:
        return _see_run(seen.run)
    if _stopped_early(launched, seen):
        return _early(launched)
    if (waits := launched.waits) is not None and not launched.begun and seen.record.outcome is None:
        return TrainingState(
            launched.label, "queued", True, waits, log=launched.log, asked=asked(launched), scheduled=True
        )
    gone = seen.record.run is not None
    status = FAILED if not seen.running else "running" if gone else STARTING
    if seen.record.outcome == "finished" and not gone:
        status = ENDED
    return TrainingState(
        name=launched.label,
        status=status,
        running=seen.running,
        reason=_GONE if gone else None,
        log=launched.log,
        phase=seen.record.phase if seen.running else None,
        **_doing(seen, launched),
        failure=seen.failure,
        asked=asked(launched),
        scheduled=launched.scheduled,
    )


def _doing(seen: ProcessState, launched: Launch) -> dict[str, Any]:
    if not seen.running:
        return {}
    record = at_work(seen.record)
    return {"since": record.since or launched.started, "doing": record.doing}


def _stopped_early(launched: Launch, seen: ProcessState) -> bool:
    """Whether it ended on request before creating anything; it may end before it can record that."""
    if seen.running or seen.record.run or seen.record.sweep:
        return False
    return seen.record.outcome == "interrupted" or (seen.record.outcome is None and asked(launched))


def _early(launched: Launch) -> TrainingState:
    """Without the traceback, which would only show where it was."""
    return TrainingState(
        launched.label, "stopped", False, _BEFORE_IT_BEGAN, log=launched.log, asked=True, scheduled=launched.scheduled
    )


def _see_sweep(launched: Launch) -> TrainingState:
    seen = look(launched, 0)
    sweep_id = seen.record.sweep
    ongoing = jobs(launched.base_dir, sweep_id) if sweep_id else []
    state: tuple[SweepPoint, ...] = ()
    if _stopped_early(launched, seen):
        return _early(launched)
    stopping = asked(launched)
    try:
        if sweep_id:
            state = with_jobs(sweep_state(launched.base_dir, sweep_id), without_run(ongoing), sweep_id)
    except RunError:
        if seen.failure is None and not seen.running:
            raise
    current = _current(state)
    if seen.running and not stopping:
        state = _waiting(state, launched)
    status = FAILED if seen.failure else ENDED
    if seen.running:
        status = "running" if state else STARTING
    elif ongoing:
        status, stopping = _of_jobs(state, ongoing), _all_asked(ongoing)
    return TrainingState(
        name=f"sweep {sweep_id}" if sweep_id else launched.label,
        status=status,
        running=seen.running or bool(ongoing),
        reason=None if seen.failure else _of_queue(ongoing) or seen.record.reason,
        run=current.path if current else None,
        record=_record(current.path) if current else None,
        log=launched.log,
        phase=seen.record.phase if seen.running else None,
        **_doing(seen, launched),
        failure=seen.failure,
        sweep=state,
        plan=sweep_path(launched.base_dir, sweep_id) if sweep_id else None,
        asked=stopping,
        scheduled=bool(ongoing),
    )


def _see_plan(plan: Path) -> TrainingState:
    """A sweep without the command that submitted it."""
    base_dir, sweep_id = plan.parent.parent, plan.stem
    ongoing = jobs(base_dir, sweep_id)
    state = with_jobs(sweep_state(base_dir, sweep_id), without_run(ongoing), sweep_id)
    current = _current(state)
    return TrainingState(
        name=f"sweep {sweep_id}",
        status=_of_jobs(state, ongoing),
        running=bool(ongoing),
        reason=_of_queue(ongoing),
        run=current.path if current else None,
        record=_record(current.path) if current else None,
        sweep=state,
        plan=plan,
        asked=_all_asked(ongoing),
        scheduled=True,
    )


def _current(state: Sequence[SweepPoint]) -> RunInfo | None:
    """The run that runs, else the last that did."""
    runs = [point.run for point in state if point.run is not None and point.run.created is not None]
    return next((run for run in runs if run.status == "running"), None) or max(runs, key=_created, default=None)


def _of_jobs(state: Sequence[SweepPoint], ongoing: Sequence[Launch]) -> str:
    """The status of a sweep whose jobs these are."""
    if any(point.status == "running" for point in state) or any(each.begun for each in ongoing):
        return "running"
    return "queued" if ongoing else ENDED


def _all_asked(ongoing: Sequence[Launch]) -> bool:
    """Whether nothing waits, and all that runs has been asked to stop."""
    return bool(ongoing) and all(each.begun for each in ongoing) and all(asked(each) for each in ongoing)


def _of_queue(ongoing: Sequence[Launch]) -> str | None:
    """What the scheduler does after training, or that it cannot be asked."""
    if ongoing and not any(each.here for each in ongoing):
        return _NO_ANSWER
    rest = [each for each in ongoing if each.module != TRAIN]
    return "; ".join(f"{each.module.removeprefix('fpnkit.')}: {each.waits}" for each in rest) or None


def _waiting(state: tuple[SweepPoint, ...], launched: Launch) -> tuple[SweepPoint, ...]:
    """Mark missing points that this command will still train; other lambdas of the plan belong to another command."""
    wanted = set()
    for part in launched.argv[launched.argv.index("--lambdas") + 1 :] if "--lambdas" in launched.argv else ():
        try:
            wanted.add(float(part))
        except ValueError:  # the next option
            break
    return tuple(
        replace(point, status="waiting") if point.status == "missing" and point.lmbda in wanted else point
        for point in state
    )


def _record(run: Path) -> RunRecord | None:
    try:
        return read_record(run)
    except RunError:
        return None


def _see_run(run: Path) -> TrainingState:
    record = read_record(run)
    status = status_of(run, record)
    log = max(run.glob("train_*.log"), default=None)
    failure = None
    if status.word == "crashed":
        failure = (last_traceback(log) if log else None) or status.reason
    elif status.word == "killed":
        failure = _words_of_killed(run, record)
    scheduled, reason = read_job(run) is not None, status.reason
    if scheduled and status.word in ("stopped", "killed", "stale") and not slurm.answers():
        reason = f"{reason}; {_NO_ANSWER}" if reason else _NO_ANSWER  # so that it may be queued
    return TrainingState(
        name=run.name,
        status=status.word,
        running=status.word in GOING_ON,
        reason=reason,
        run=run,
        record=record,
        log=log,
        failure=failure,
        asked=status.word != "queued" and asked(run),  # else before it was submitted again
        scheduled=scheduled,
    )


def _words_of_killed(run: Path, record: RunRecord) -> str | None:
    """What the system or a library wrote when it ended the process, which no log of ours has."""
    for launched in find(run.parent):
        told = facts(launched)
        if (told.run, told.pid) == (str(run), record.pid):
            return last_words(launched.log)
    return None
