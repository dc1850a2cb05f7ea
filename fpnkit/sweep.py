"""Train one run per lambda, and per seed: python -m fpnkit.sweep --config FILE --lambdas A B C

The same command, typed again, continues: it skips finished runs, resumes interrupted ones and trains missing ones;
further lambdas join the sweep. Exit codes: 0 all finished, 1 some did not, 2 the input is wrong and nothing was
started, 130 stopped on request.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from fpnkit import cli
from fpnkit.anchors.catalogue import select
from fpnkit.config.flags import SHARED_FLAGS
from fpnkit.errors import FpnkitError, RunError, UserError
from fpnkit.foundation import guest, text
from fpnkit.foundation.callable_module import make_callable
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.foundation.logs import DetachableStream
from fpnkit.foundation.process_record import Reporter
from fpnkit.foundation.tables import print_rows
from fpnkit.launch.foreground import Foreground
from fpnkit.launch.here import foreground
from fpnkit.launch.local import command
from fpnkit.launch.needs import Needs, needs
from fpnkit.launch.protocol import TRAIN
from fpnkit.launch.request import read_points
from fpnkit.launch.sweep import (
    Sweep,
    SweepPoint,
    config_path,
    extended,
    find_point,
    new_sweep,
    sweep_path,
    sweep_state,
    write_sweep,
)
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.store import RunInfo, list_runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, DetachableStream(stream)) for stream in streams)
    try:
        return cli.run(_parser(), arguments, _run, interrupted="interrupted before anything was started")
    finally:
        sys.stdout, sys.stderr = streams


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.sweep", __doc__)
    parser.add_argument("--config", metavar="FILE", required=True, help="YAML; see configs/")
    parser.add_argument("--lambdas", metavar="X", nargs="+", required=True, help="loss.lambda of each run")
    parser.add_argument(
        "--seeds", metavar="N", nargs="+", help="train every lambda with each seed (default: the config's)"
    )
    cli.add_settings(parser, SHARED_FLAGS)
    cli.add_base_dir(parser)
    parser.add_argument("--evaluate", action="store_true", help="evaluate the finished runs at the end")
    parser.add_argument(
        "--anchors", metavar="NAME", nargs="+", default=[], help="then measure these anchors on the same images"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything and say what would be done")
    return parser


def _run(options: argparse.Namespace, session: cli.Session) -> int:
    base_dir = cli.base_dir(options).absolute()
    select(options.anchors, "--anchors")  # a wrong name is reported now, not after hours
    sweep, points = _read(options)
    require_base_directory(base_dir)
    sweep = extended(base_dir, sweep)
    runs = list_runs(base_dir) if base_dir.exists() else []
    state = [find_point(sweep, runs, *point) for point in points]
    todo = [point for point in state if _action(point) in ("train", "resume")]
    _say_plan(sweep, base_dir, state)
    if guest.current() is not None:
        _require_detector(sweep, state)
    if todo:
        session.report.tell(phase="preparing")
        demand = _needs(options, sweep, todo, runs, base_dir, session.report)
        if isinstance(demand, int):
            return demand
        print(*demand.describe(), sep="\n", flush=True)
        demand.require_disk(base_dir)
    if options.dry_run:
        print("dry run: nothing was started", flush=True)
        return 0
    write_sweep(base_dir, sweep)
    session.report.tell(sweep=sweep.id, phase="training")
    lock = DirectoryLock(config_path(base_dir, sweep.id).parent, "another process is working on this sweep")
    try:
        with foreground() as front:
            work = _Work(sweep, base_dir, points, front, session.report)
            return _conclude(work, _train_all(work), options)
    finally:
        lock.release()


@dataclass(frozen=True)
class _Work:
    """A sweep in progress."""

    sweep: Sweep
    base_dir: Path
    points: Sequence[tuple[float, int]]  # (lambda, seed) that this command asks for
    front: Foreground
    report: Reporter


def _read(options: argparse.Namespace) -> tuple[Sweep, list[tuple[float, int]]]:
    """The sweep, and the (lambda, seed) pairs of this command in the order typed."""
    file = Path(options.config)
    points = read_points(file, cli.overrides(options), options.lambdas, options.seeds or [])
    sweep = new_sweep(file, points.config, points.lambdas, points.seeds)
    return sweep, [(lmbda, seed) for lmbda in points.lambdas for seed in points.seeds]


def _action(point: SweepPoint) -> str:
    if point.status in ("finished", "running"):
        return "skip"
    if point.diverged:
        return "give up"
    return "resume" if point.resumable else "train"


def _require_detector(sweep: Sweep, state: Sequence[SweepPoint]) -> None:
    """Raise `RunError` if a run has another detector: an object of the same name has the same settings."""
    from fpnkit.detectors.build import build_detector

    detector = build_detector(sweep.config(*sweep.points()[0]).detector)
    found = detector.fingerprint()
    for run in (point.run for point in state):
        known = None if run is None else run.detector_fingerprint
        if run is not None and known is not None and known != found:
            raise RunError(
                f"sweep {sweep.id}: required the detector of {run.name} (fingerprint {known[:8]}), found another one "
                f"({detector.name}, {found[:8]}); under another name it gets a sweep of its own"
            )


def _say_plan(sweep: Sweep, base_dir: Path, state: Sequence[SweepPoint]) -> None:
    counts = {
        "finished": sum(point.status == "finished" for point in state),
        "running elsewhere": sum(point.status == "running" for point in state),
        "diverged before": sum(point.diverged for point in state),
        "to resume": sum(_action(point) == "resume" for point in state),
        "to train": sum(_action(point) == "train" for point in state),
    }
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    print(f"sweep {sweep.id}: {told}", f"plan: {sweep_path(base_dir, sweep.id)}", sep="\n", flush=True)


def _needs(
    options: argparse.Namespace,
    sweep: Sweep,
    todo: Sequence[SweepPoint],
    runs: Sequence[RunInfo],
    base_dir: Path,
    report: Reporter,
) -> Needs | int:
    """Disk and time needed.

    If nothing comparable has finished yet, the trainer's dry run checks all input and gives the number of parameters;
    its exit code is returned if it fails.
    """
    demand = needs(sweep, todo, runs, base_dir, None)
    if demand.bytes is not None and not options.dry_run:
        return demand
    first = min(todo, key=lambda point: point.lmbda)  # the one that may be too small to buy anything
    varied = ["--lambda", repr(first.lmbda), "--seed", str(first.seed)]
    given = [part for flag, value in cli.given_flags(options).items() for part in (flag, value)]
    given += [part for each in options.set for part in ("--set", each)]
    arguments = ["--config", options.config, *given, *varied, "--base-dir", str(base_dir), "--dry-run"]
    with foreground() as front:
        code, found = front.run(command(arguments))
    if front.asked:
        raise KeyboardInterrupt
    if code:
        report.tell(reason=found.reason)
        return code
    return needs(sweep, todo, runs, base_dir, found.parameters)


def _train_all(work: _Work) -> int:
    """0, or the exit code that prevents further runs."""
    sweep, base_dir, points = work.sweep, work.base_dir, work.points
    for number, (lmbda, seed) in enumerate(points, start=1):
        if work.front.asked:
            return cli.STOPPED
        runs = list_runs(base_dir)  # read again: others may have trained meanwhile
        left = [find_point(sweep, runs, *each) for each in points[number - 1 :]]
        point, action = left[0], _action(left[0])
        print(f"[{number}/{len(points)}] {_label(point)}: {_told(point, action)}", flush=True)
        if action in ("resume", "train"):
            todo = [each for each in left if _action(each) in ("resume", "train")]
            print(needs(sweep, todo, runs, base_dir, None).time_left(), flush=True)
        if action == "resume" and point.run is not None:
            work.front.run(command(["--resume", str(point.run.path)]))
        elif action == "train":
            config = str(config_path(base_dir, sweep.id))
            varied = ["--lambda", repr(lmbda), "--seed", str(seed)]
            code, found = work.front.run(
                command(["--config", config, *varied, "--base-dir", str(base_dir), "--sweep", sweep.id])
            )
            if code == UserError.exit_code:  # data, weights or device: the same for every lambda
                print(f"fpnkit.sweep: {TRAIN} refused its input, which all runs share", file=sys.stderr)
                work.report.tell(reason=found.reason)
                return code
    return cli.STOPPED if work.front.asked else 0


def _label(point: SweepPoint) -> str:
    return f"lambda {_exact(point.lmbda)}, seed {point.seed}"


def _exact(lmbda: float) -> str:
    """Short if that is exact."""
    return short if float(short := text.rate(lmbda)) == lmbda else repr(lmbda)


def _told(point: SweepPoint, action: str) -> str:
    if point.run is None or action == "train":
        return "training"
    name = point.run.name
    if point.status == "running":
        return f"{name} is running on {point.run.host}; it is left alone"
    if action == "give up":
        return f"{name} diverged and would again; to train it anew: python -m fpnkit.runs trash {name}"
    return f"{name} is finished" if point.status == "finished" else f"{name} was {point.status}; resuming"


def _conclude(work: _Work, code: int, options: argparse.Namespace) -> int:
    """Print the table of the sweep and what is left to do, run what follows training, and return the exit code."""
    front, report = work.front, work.report
    state = sweep_state(work.base_dir, work.sweep.id)
    print_rows(["lambda", "seed", "run", "status", "loss", "bpp est."], [_row(point) for point in state])
    sys.stdout.flush()
    asked_for = [point for point in state if (point.lmbda, point.seed) in work.points]
    unfinished = [point for point in asked_for if point.status != "finished"]
    if front.asked:
        print(f"stopped by {front.asked}; to go on, type the same command again", flush=True)
        report.tell(reason=front.asked)
        return cli.STOPPED
    left = None
    if unfinished:
        told = "; ".join(f"{_label(point)} {_why(point)}" for point in unfinished)
        left = f"{len(unfinished)} of {len(asked_for)} not finished: {told}"
        print(left, flush=True)
    finished = [str(point.run.path) for point in asked_for if point.run and point.status == "finished"]
    following = [command(finished, "fpnkit.evaluate")] if options.evaluate and finished else []
    if options.anchors:
        config = str(config_path(work.base_dir, work.sweep.id))
        following.append(command(["--config", config, "--only", *options.anchors], "fpnkit.anchors"))
    for each in following:
        if not code:
            report.tell(phase="evaluating")
            ended, found = front.run(each)
            code = cli.STOPPED if front.asked else ended
            report.tell(reason=front.asked or (found.reason if code else None))
    if code or not unfinished:
        return code
    report.end("finished", left)  # all that could be trained: that a run failed is the run's outcome
    return FpnkitError.exit_code


def _why(point: SweepPoint) -> str:
    reason = f" ({point.run.reason})" if point.run and point.run.reason else ""
    return f"{point.status}{reason}"


def _row(point: SweepPoint) -> list[str]:
    run = point.run
    name, loss, bpp = (run.name, run.best_loss, run.bpp_estimated) if run else (text.NOTHING, None, None)
    return [
        _exact(point.lmbda),
        str(point.seed),
        text.printable(name),
        text.printable(_why(point)),
        text.number(loss),
        text.number(bpp),
    ]


make_callable(__name__, "fpnkit.api.commands:sweep")

if __name__ == "__main__":
    sys.exit(main())
