"""Hand what a sweep lacks to Slurm: one task of a job array per run, then what follows training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation import slurm
from fpnkit.launch.launchers import submit_to_slurm
from fpnkit.launch.protocol import TRAIN, Launch
from fpnkit.launch.queue import jobs, queued, with_jobs
from fpnkit.launch.slurm import Options, SlurmLaunch, array_of
from fpnkit.launch.sweep import Sweep, SweepPoint, find_point
from fpnkit.launch.sweep_report import Action, action_for
from fpnkit.launch.sweep_training import TO_DO, command_for, name_of, told
from fpnkit.runs.job import SchedulerJob, hand_over
from fpnkit.runs.store import RunInfo


@dataclass(frozen=True)
class Submission:
    """What is to be submitted of a sweep."""

    sweep: Sweep
    base_dir: Path
    options: Options  # of sbatch
    at_once: int | None  # trainings at a time
    following: Sequence[Sequence[str]]  # commands for after the training, with what has finished


def points_of(
    sweep: Sweep, base_dir: Path, runs: Sequence[RunInfo], points: Sequence[tuple[float, int]]
) -> list[SweepPoint]:
    """The state of the points, in the queue too. Raises `UserError` without Slurm, and
    `SchedulerError` without an answer: they may all be queued.
    """
    slurm.require_here()
    slurm.ask_again()
    if not slurm.answers():
        raise slurm.SchedulerError("squeue: no answer, so that it is not known what is queued already; try again")
    state = [find_point(sweep, runs, *point) for point in points]
    return list(with_jobs(state, queued(base_dir), sweep.id))


def submit_all(work: Submission, state: Sequence[SweepPoint]) -> dict[tuple[float, int], Action]:
    """Submit what is neither finished nor queued, and say so; returns what was done about each point."""
    taken = {(point.lmbda, point.seed): action_for(point) for point in state}
    todo = [point for point in state if taken[point.lmbda, point.seed] in TO_DO]
    commands = [command_for(work.sweep, work.base_dir, point) for point in todo]
    launches = submit_to_slurm(commands, work.base_dir, work.options, at_once=work.at_once) if todo else []
    for point, launch in zip(todo, launches, strict=True):
        if point.resumable and point.run is not None:
            hand_over(point.run.path, SchedulerJob(launch.job, str(launch.log)))
    by_point = {(point.lmbda, point.seed): launch for point, launch in zip(todo, launches, strict=True)}
    for number, point in enumerate(state, start=1):
        mine = by_point.get((point.lmbda, point.seed))
        where = "" if mine is None else f": submitted as {mine.label}"
        line = told(point, taken[point.lmbda, point.seed])
        print(f"[{number}/{len(state)}] {name_of(point)}: {line}{where}", flush=True)
    _submit_following(work, launches)
    return taken


def _submit_following(work: Submission, launches: Sequence[SlurmLaunch]) -> None:
    """After all trainings of the sweep that are queued or running; an evaluation that waits already gives way."""
    slurm.ask_again()
    of_sweep: Sequence[Launch] = jobs(work.base_dir, work.sweep.id)
    before = [each for each in of_sweep if each.module != TRAIN]
    if not work.following or (before and not launches):
        return
    for each in before:
        with contextlib.suppress(RunError):  # it has ended meanwhile
            print(each.end("graceful"), flush=True)
    trainings = {array_of(each.job) for each in of_sweep if isinstance(each, SlurmLaunch) and each.module == TRAIN}
    after = sorted(trainings | {array_of(each.job) for each in launches})
    for launch in submit_to_slurm(work.following, work.base_dir, work.options, after=after):
        print(f"{launch.module.removeprefix('fpnkit.')}: submitted as {launch.label}, after the training", flush=True)
