"""The state of a training, by the path of its run directory or of its launch record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fpnkit.config.identity import learned
from fpnkit.config.load import plain
from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.foundation.process_record import Doing, Phase, at_work
from fpnkit.launch.launchers import facts, find, load, look
from fpnkit.launch.output import last_traceback, last_words
from fpnkit.launch.protocol import FOLDER, SWEEP, TRAIN, Launch, ProcessState
from fpnkit.launch.queue import jobs, queued, with_jobs
from fpnkit.launch.request import Request
from fpnkit.launch.stop import asked
from fpnkit.launch.sweep import SweepPoint, sweep_state
from fpnkit.runs import layout
from fpnkit.runs.record import RunRecord, read_record
from fpnkit.runs.settings import learned_by
from fpnkit.runs.status import GOING_ON, status_of
from fpnkit.runs.store import RunInfo, list_runs

STARTING, FAILED, ENDED = "starting", "failed", "ended"  # beside the status words of runs
_BEFORE_IT_BEGAN = "stopped before it began"
_GONE = "its run directory is gone"


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
    asked: bool = False  # to stop, by whoever


@dataclass(frozen=True)
class Choice:
    """A running training, for a list to choose from."""

    path: Path  # for `see`
    label: str


def see(path: Path) -> TrainingState:
    """Look at a run directory or a launch. Raises RunError if neither exists any more."""
    if path.parent.name != FOLDER:
        return _see_run(path)
    launched = load(path)
    if (elsewhere := facts(launched).launched) is not None and not launched.lives() and Path(elsewhere).exists():
        launched = load(Path(elsewhere))  # it has submitted the training, and its work is done
    return _see_sweep(launched) if launched.module == SWEEP else _see_launched(launched)


def running(base_dir: Path, runs: Sequence[RunInfo] | None = None) -> list[Choice]:
    """Everything that is running or starting in a base directory, newest first.

    `runs` are its runs, if already known.
    """
    sweeps, starting = [], []
    for launched in find(base_dir):
        if not launched.lives():
            continue
        if launched.scheduled:
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
    waiting = [Choice(each.launch.file, each.describe) for each in queued(base_dir)]
    return [*sweeps, *starting, *waiting, *(Choice(run.path, _label(run)) for run in found)]


def twins(request: Request) -> list[Choice]:
    """Running trainings that would learn the same."""
    wanted = learned(plain(request.config))
    arguments = ("-m", request.module, *request.arguments)
    found = []
    for candidate in running(request.base_dir):
        if candidate.path.parent.name == FOLDER:
            same = load(candidate.path).argv[-len(arguments) :] == arguments
        else:
            same = _equal(learned_by(candidate.path), wanted, request.lambdas)
        found += [candidate] if same else []
    return found


def _equal(found: Mapping[str, object], wanted: Mapping[str, object], lambdas: tuple[float, ...]) -> bool:
    """For a sweep, any of its lambdas counts."""
    if not lambdas:
        return found == wanted
    return found.get("loss.lambda") in lambdas and {**found, "loss.lambda": 0} == {**wanted, "loss.lambda": 0}


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
    if (waits := launched.waits) is not None:
        return TrainingState(launched.label, "queued", True, waits, log=launched.log, asked=asked(launched))
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
    return TrainingState(launched.label, "stopped", False, _BEFORE_IT_BEGAN, log=launched.log, asked=True)


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
            state = with_jobs(sweep_state(launched.base_dir, sweep_id), queued(launched.base_dir), sweep_id)
    except RunError:
        if seen.failure is None and not seen.running:
            raise
    runs = [point.run for point in state if point.run is not None and point.run.created is not None]
    current = next((run for run in runs if run.status == "running"), None)
    current = current or max(runs, key=_created, default=None)
    if seen.running and not stopping:
        state = _waiting(state, launched)
    status = FAILED if seen.failure else ENDED
    if seen.running:
        status = "running" if state else STARTING
    elif ongoing:
        begun = any(point.status == "running" for point in state) or any(each.module != TRAIN for each in ongoing)
        status = "running" if begun else "queued"
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
        asked=stopping,
    )


def _of_queue(ongoing: Sequence[Launch]) -> str | None:
    """What the scheduler does after training, or that it cannot be asked."""
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
    return TrainingState(
        name=run.name,
        status=status.word,
        running=status.word in GOING_ON,
        reason=status.reason,
        run=run,
        record=record,
        log=log,
        failure=failure,
        asked=asked(run),
    )


def _words_of_killed(run: Path, record: RunRecord) -> str | None:
    """What the system or a library wrote when it ended the process, which no log of ours has."""
    for launched in find(run.parent):
        told = facts(launched)
        if (told.run, told.pid) == (str(run), record.pid):
            return last_words(launched.log)
    return None
