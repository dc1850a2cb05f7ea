"""What schedulers have for the runs of a base directory, and have not made a run directory for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.launch.launchers import facts, find, run_of
from fpnkit.launch.protocol import TRAIN, Launch
from fpnkit.launch.sweep import SweepPoint
from fpnkit.runs import layout
from fpnkit.runs.record import read_record
from fpnkit.runs.status import GOING_ON, status_of


@dataclass(frozen=True)
class Queued:
    """A job without a run directory."""

    launch: Launch
    told: str  # its id and what it waits for
    lmbda: float | None  # of a training, where its command says so
    seed: int | None
    sweep: str | None

    @property
    def trains(self) -> bool:
        """Rather than evaluates."""
        return self.launch.module == TRAIN

    @property
    def describe(self) -> str:
        """For people."""
        what = self.launch.module.removeprefix("fpnkit.")
        named = [f"lambda {text.rate(self.lmbda)}"] if self.lmbda is not None else []
        named += [f"seed {self.seed}"] if self.seed is not None else []
        return f"{self.told}: {' '.join([what, ', '.join(named)]).strip()}"


def jobs(base_dir: Path, sweep: str | None = None) -> list[Launch]:
    """That have not ended, as far as can be known, newest first; of one sweep, its evaluation included."""
    found = [launch for launch in find(base_dir) if launch.scheduled and _may_live(launch)]
    return found if sweep is None else [launch for launch in found if sweep_of(launch) == sweep]


def queued(base_dir: Path) -> list[Queued]:
    """Newest first; what goes on with a run is that run's status."""
    return without_run(jobs(base_dir))


def without_run(launches: Sequence[Launch]) -> list[Queued]:
    """Those of `jobs` that have no run directory."""
    found = []
    for launch in launches:
        waits = launch.waits
        if waits is not None and "--resume" not in launch.argv and run_of(launch) is None:
            lmbda, seed = _value(launch, "--lambda"), _value(launch, "--seed")
            numbers = (None if lmbda is None else float(lmbda)), (None if seed is None else int(seed))
            found.append(Queued(launch, waits, *numbers, sweep_of(launch)))
    return found


def with_jobs(points: Sequence[SweepPoint], waiting: Sequence[Queued], sweep: str) -> tuple[SweepPoint, ...]:
    """The points, those that a job is to train marked as queued."""
    own = {(each.lmbda, each.seed): each.told for each in waiting if each.sweep == sweep and each.trains}
    return tuple(
        replace(point, status="queued", job=own[point.lmbda, point.seed])
        if point.status not in ("finished", "queued", "running") and (point.lmbda, point.seed) in own
        else point
        for point in points
    )


def sweep_of(launch: Launch) -> str | None:
    """The sweep that its command belongs to."""
    run = _value(launch, "--resume")
    if run is not None:
        return _sweep_of_run(Path(run))
    config = _value(launch, "--config")
    if config is not None and Path(config).parent.parent.name == layout.SWEEPS:
        return Path(config).parent.name
    return _value(launch, "--sweep")


def _sweep_of_run(run: Path) -> str | None:
    try:
        return read_record(run).sweep
    except RunError:
        return None


def _may_live(launch: Launch) -> bool:
    """From files if the scheduler does not answer."""
    if launch.here:
        return launch.lives()
    if (run := run_of(launch)) is None:
        return launch.waits is not None and facts(launch).outcome is None
    try:
        return status_of(run, read_record(run)).word in GOING_ON
    except RunError:
        return False


def _value(launch: Launch, flag: str) -> str | None:
    argv = launch.argv
    return argv[argv.index(flag) + 1] if flag in argv[:-1] else None
