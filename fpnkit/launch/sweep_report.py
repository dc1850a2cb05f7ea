"""What a sweep did, or would do, for programs: the document of `fpnkit sweep --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fpnkit.launch.sweep import Sweep, SweepPoint, sweep_path
from fpnkit.runs.status import GOING_ON

Action = Literal["train", "resume", "skip", "give_up"]  # skip: finished, running or queued; give up: it diverged


@dataclass(frozen=True)
class PointReport:
    """One (lambda, seed) that the command asked for."""

    lmbda: float
    seed: int
    action: Action | None  # taken, or planned by a dry run; None: the sweep ended before it came to it
    status: str  # of the run, or `missing`
    reason: str | None  # of how the run ended
    run: str | None  # its name
    path: str | None  # its directory
    best_loss: float | None
    bpp_estimated: float | None  # of the best epoch


@dataclass(frozen=True)
class SweepReport:
    """All of them, in the order typed."""

    sweep: str  # its id
    plan: str  # the file that holds it; a dry run writes none
    dry_run: bool
    points: tuple[PointReport, ...]


def sweep_report(
    sweep: Sweep,
    base_dir: Path,
    state: Sequence[SweepPoint],
    actions: Mapping[tuple[float, int], Action],
    *,
    dry_run: bool = False,
) -> SweepReport:
    """`actions`: of each (lambda, seed)."""
    points = tuple(_point(point, actions.get((point.lmbda, point.seed))) for point in state)
    return SweepReport(sweep.id, str(sweep_path(base_dir, sweep.id)), dry_run, points)


def action_for(point: SweepPoint) -> Action:
    """What is to be done about it."""
    if point.status in ("finished", *GOING_ON):
        return "skip"
    if point.diverged:
        return "give_up"
    return "resume" if point.resumable else "train"


def _point(point: SweepPoint, action: Action | None) -> PointReport:
    run = point.run
    if run is None:
        return PointReport(point.lmbda, point.seed, action, point.status, None, None, None, None, None)
    facts = run.reason, run.name, str(run.path), run.best_loss, run.bpp_estimated
    return PointReport(point.lmbda, point.seed, action, point.status, *facts)
