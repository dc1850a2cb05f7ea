"""Train what a sweep lacks, one run after another or side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fpnkit.errors import UserError
from fpnkit.foundation import text
from fpnkit.foundation.process_record import Reporter
from fpnkit.launch.foreground import EndedProcess, Foreground
from fpnkit.launch.local import command
from fpnkit.launch.needs import needs
from fpnkit.launch.places import Place, Places
from fpnkit.launch.protocol import TRAIN
from fpnkit.launch.sweep import Sweep, SweepPoint, config_path, find_point
from fpnkit.launch.sweep_report import Action, action_for
from fpnkit.runs.store import list_runs

TO_DO = ("resume", "train")


@dataclass(frozen=True)
class Work:
    """A sweep in progress."""

    sweep: Sweep
    base_dir: Path
    points: Sequence[tuple[float, int]]  # (lambda, seed) that this command asks for
    places: Places
    front: Foreground
    report: Reporter
    taken: dict[tuple[float, int], Action] = field(default_factory=dict)  # of the points that it has come to


def train_all(work: Work) -> int:
    """Train in the order of the points until all have ended, or the first signal; 0, or the exit code of a trainer
    that refused its input, which keeps all others from being trained.
    """
    code, waiting, free = 0, list(range(len(work.points))), list(work.places.each)
    while True:
        while waiting and free and not work.front.asked and not code:
            if _start(work, waiting.pop(0), free[0]):
                free.pop(0)
        if not work.front.running:
            return code
        ended = work.front.wait()
        assert isinstance(ended.key, _Started)
        free.append(ended.key.place)
        if len(work.places) > 1:
            print(f"{ended.key.label}{_ending(ended)}", flush=True)
        if ended.key.action == "train" and ended.code == UserError.exit_code and not code:
            # Data, weights or device: the same for every lambda.
            print(f"fpnkit.sweep: {TRAIN} refused its input, which all runs share", file=sys.stderr, flush=True)
            work.report.tell(reason=ended.record.reason)
            code = ended.code
            work.front.stop()


@dataclass(frozen=True)
class _Started:
    """A training under way."""

    number: int  # of the point
    label: str
    action: Action
    place: Place


def _start(work: Work, number: int, place: Place) -> bool:
    """Say what is done about a point and start it; False if there is nothing to do."""
    runs = list_runs(work.base_dir)  # read again: others may have trained meanwhile
    left = [find_point(work.sweep, runs, *each) for each in work.points[number:]]
    point, action = left[0], action_for(left[0])
    work.taken[point.lmbda, point.seed] = action
    label = f"[{number + 1}/{len(work.points)}] "
    where = place.told if action in TO_DO else ""
    print(f"{label}{name_of(point)}: {told(point, action)}{where}", flush=True)
    if action not in TO_DO:
        return False
    todo = [each for each in left if action_for(each) in TO_DO]
    print(needs(work.sweep, todo, runs, work.base_dir, None, at_once=len(work.places)).time_left(), flush=True)
    argv = command_for(work.sweep, work.base_dir, point)
    started = _Started(number, label, action, place)
    if len(work.places) == 1:
        work.front.start(started, argv)
    else:
        work.front.start(started, argv, label=label, environment=place.environment)
    return True


def command_for(sweep: Sweep, base_dir: Path, point: SweepPoint) -> list[str]:
    """Trains a point, or resumes its run."""
    if point.resumable and point.run is not None:
        return command(["--resume", str(point.run.path)])
    varied = ["--lambda", repr(point.lmbda), "--seed", str(point.seed)]
    own = ["--base-dir", str(base_dir), "--sweep", sweep.id]
    return command(["--config", str(config_path(base_dir, sweep.id)), *varied, *own])


def _ending(ended: EndedProcess) -> str:
    if ended.code == 0:
        return "done"
    return f"ended with {f'signal {-ended.code}' if ended.code < 0 else f'exit code {ended.code}'}"


def name_of(point: SweepPoint) -> str:
    """For people."""
    return f"lambda {exact(point.lmbda)}, seed {point.seed}"


def exact(lmbda: float) -> str:
    """Short if that is exact."""
    return short if float(short := text.rate(lmbda)) == lmbda else repr(lmbda)


def told(point: SweepPoint, action: str) -> str:
    """What is done about it, for people."""
    if point.job is not None:
        return f"queued ({point.job}); it is left alone"
    if point.run is None or action == "train":
        return "training"
    name = point.run.name
    if point.status == "running":
        return f"{name} is running on {point.run.host}; it is left alone"
    if point.status == "queued":
        return f"{name} is queued ({point.run.reason}); it is left alone"
    if action == "give_up":
        return f"{name} diverged and would again; to train it anew: python -m fpnkit.runs trash {name}"
    return f"{name} is finished" if point.status == "finished" else f"{name} was {point.status}; resuming"
