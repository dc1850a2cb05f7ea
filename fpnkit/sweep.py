"""Train one run per lambda, and per seed: python -m fpnkit.sweep --config FILE --lambdas A B C

The same command typed again goes on where it ended: it skips what is finished, resumes what was cut short, trains what
is missing; further lambdas join the sweep. Exit codes: 0 all finished, 1 some did not, 2 the input is wrong and nothing
was started, 130 stopped on request.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from fpnkit.anchors.catalogue import select
from fpnkit.config.load import parse_override
from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation import text
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.foundation.logs import DetachableStream
from fpnkit.foundation.tables import print_rows
from fpnkit.launch.foreground import Foreground
from fpnkit.launch.local import TRAIN, command
from fpnkit.launch.needs import Needs, needs, parameters_in
from fpnkit.launch.request import FLAGS, flag_overrides, read_points
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
from fpnkit.runs import layout
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.store import RunInfo, list_runs

STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; → exit code."""
    options = _parser().parse_args(arguments)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, DetachableStream(stream)) for stream in streams)
    try:
        return _run(options)
    except FpnkitError as error:
        print(f"fpnkit.sweep: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("fpnkit.sweep: interrupted before anything was started", file=sys.stderr)
        return STOPPED
    finally:
        sys.stdout, sys.stderr = streams


def _parser() -> argparse.ArgumentParser:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m fpnkit.sweep", description=description, epilog=epilog)
    parser.add_argument("--config", metavar="FILE", required=True, help="YAML; see configs/")
    parser.add_argument("--lambdas", metavar="X", nargs="+", required=True, help="loss.lambda of each run")
    parser.add_argument(
        "--seeds", metavar="N", nargs="+", help="every lambda with each of them (default: the config's)"
    )
    for flag, key in FLAGS.items():
        parser.add_argument(flag, metavar="X", dest=flag, help=f"sets {'.'.join(key)}")
    parser.add_argument("--set", metavar="KEY.PATH=VALUE", action="append", default=[], help="sets any other key")
    parser.add_argument("--base-dir", metavar="DIR", help="folder that directly holds the runs")
    parser.add_argument("--evaluate", action="store_true", help="evaluate the finished runs at the end")
    parser.add_argument(
        "--anchors", metavar="NAME", nargs="+", default=[], help="then measure these on the same images; see anchors"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything and say what would be done")
    return parser


def _run(options: argparse.Namespace) -> int:
    base_dir = layout.default_base_dir("fpn_compression") if options.base_dir is None else Path(options.base_dir)
    base_dir = base_dir.absolute()
    select(options.anchors, "--anchors")  # a name that is wrong is said now, not after hours
    sweep, points = _read(options)
    require_base_directory(base_dir)
    sweep = extended(base_dir, sweep)
    runs = list_runs(base_dir) if base_dir.exists() else []
    state = [find_point(sweep, runs, *point) for point in points]
    todo = [point for point in state if _action(point) in ("train", "resume")]
    _say_plan(sweep, base_dir, state)
    if todo:
        demand = _needs(options, sweep, todo, runs, base_dir)
        if isinstance(demand, int):
            return demand
        print(*demand.describe(), sep="\n", flush=True)
        demand.require_disk(base_dir)
    if options.dry_run:
        print("dry run: nothing was started", flush=True)
        return 0
    write_sweep(base_dir, sweep)
    lock = DirectoryLock(config_path(base_dir, sweep.id).parent, "another process is working on this sweep")
    try:
        with Foreground() as front:
            code = _train_all(sweep, base_dir, points, front)
            return _conclude(sweep, base_dir, points, front, code, options)
    finally:
        lock.release()


def _read(options: argparse.Namespace) -> tuple[Sweep, list[tuple[float, int]]]:
    """The sweep and the (lambda, seed) that this command asks for, in the order typed."""
    file = Path(options.config)
    overrides = [*map(parse_override, options.set), *flag_overrides({flag: getattr(options, flag) for flag in FLAGS})]
    points = read_points(file, overrides, options.lambdas, options.seeds or [])
    sweep = new_sweep(file, points.config, points.lambdas, points.seeds)
    return sweep, [(lmbda, seed) for lmbda in points.lambdas for seed in points.seeds]


def _action(point: SweepPoint) -> str:
    if point.status in ("finished", "running"):
        return "skip"
    if point.diverged:
        return "give up"
    return "resume" if point.resumable else "train"


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
    options: argparse.Namespace, sweep: Sweep, todo: Sequence[SweepPoint], runs: Sequence[RunInfo], base_dir: Path
) -> Needs | int:
    """Disk and time; where nothing comparable has finished yet the trainer's dry run is asked, which checks all input.

    An exit code where that found something wrong.
    """
    demand = needs(sweep, todo, runs, base_dir, None)
    if demand.bytes is not None and not options.dry_run:
        return demand
    first = min(todo, key=lambda point: point.lmbda)  # the one that may be too small to buy anything
    varied = ["--lambda", repr(first.lmbda), "--seed", str(first.seed)]
    given = [part for flag in FLAGS if (value := getattr(options, flag)) for part in (flag, value)]
    given += [part for each in options.set for part in ("--set", each)]
    arguments = ["--config", options.config, *given, *varied, "--base-dir", str(base_dir), "--dry-run"]
    done = subprocess.run(command(arguments), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    print(done.stderr, end="", file=sys.stderr, flush=True)
    if done.returncode:
        return done.returncode
    return needs(sweep, todo, runs, base_dir, parameters_in(done.stderr))


def _train_all(sweep: Sweep, base_dir: Path, points: Sequence[tuple[float, int]], front: Foreground) -> int:
    """0, or the exit code with which no further run can be trained."""
    for number, (lmbda, seed) in enumerate(points, start=1):
        if front.asked:
            return STOPPED
        runs = list_runs(base_dir)  # now: others may have trained meanwhile
        left = [find_point(sweep, runs, *each) for each in points[number - 1 :]]
        point, action = left[0], _action(left[0])
        print(f"[{number}/{len(points)}] {_label(point)}: {_told(point, action)}", flush=True)
        if action in ("resume", "train"):
            todo = [each for each in left if _action(each) in ("resume", "train")]
            print(needs(sweep, todo, runs, base_dir, None).time_left(), flush=True)
        if action == "resume" and point.run is not None:
            front.run(command(["--resume", str(point.run.path)]))
        elif action == "train":
            config = str(config_path(base_dir, sweep.id))
            varied = ["--lambda", repr(lmbda), "--seed", str(seed)]
            code = front.run(command(["--config", config, *varied, "--base-dir", str(base_dir), "--sweep", sweep.id]))
            if code == RunError.exit_code:  # data, weights or device: the same for every lambda
                print(f"fpnkit.sweep: {TRAIN} refused its input, which all runs share", file=sys.stderr)
                return code
    return STOPPED if front.asked else 0


def _label(point: SweepPoint) -> str:
    return f"lambda {_exact(point.lmbda)}, seed {point.seed}"


def _exact(lmbda: float) -> str:
    """Short where that is exact."""
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


def _conclude(
    sweep: Sweep,
    base_dir: Path,
    points: Sequence[tuple[float, int]],
    front: Foreground,
    code: int,
    options: argparse.Namespace,
) -> int:
    """The table of the whole sweep, what is left to do, and the exit code."""
    state = sweep_state(base_dir, sweep.id)
    print_rows(["lambda", "seed", "run", "status", "loss", "bpp est."], [_row(point) for point in state])
    sys.stdout.flush()
    asked_for = [point for point in state if (point.lmbda, point.seed) in points]
    unfinished = [point for point in asked_for if point.status != "finished"]
    if front.asked:
        print(f"stopped by {front.asked}; to go on, type the same command again", flush=True)
        return STOPPED
    if unfinished:
        told = "; ".join(f"{_label(point)} {_why(point)}" for point in unfinished)
        print(f"{len(unfinished)} of {len(asked_for)} not finished: {told}", flush=True)
    finished = [str(point.run.path) for point in asked_for if point.run and point.status == "finished"]
    following = [command(finished, "fpnkit.evaluate")] if options.evaluate and finished else []
    if options.anchors:
        config = str(config_path(base_dir, sweep.id))
        following.append(command(["--config", config, "--only", *options.anchors], "fpnkit.anchors"))
    for each in following:
        if not code:
            ended = front.run(each)
            code = STOPPED if front.asked else ended
    return code or (1 if unfinished else 0)


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


if __name__ == "__main__":
    sys.exit(main())
