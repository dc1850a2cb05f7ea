"""Train one run per lambda, and per seed: python -m fpnkit.sweep --config FILE --lambdas A B C

The same command, typed again, continues: it skips finished runs, resumes interrupted ones and trains missing ones;
further lambdas join the sweep. With --on slurm it submits what is neither finished nor queued, and returns. With
--json, stdout has one document at the end, about every lambda and seed, and stderr the rest. Exit codes: 0 all
finished, 1 some did not, 2 the input is wrong and nothing was started, 130 stopped on request.

Examples:
  # five points of a curve, measured at the end; 2.5 minutes in all
  python -m fpnkit.sweep --config configs/example_sweep.yaml --lambdas 3e-6 2e-5 1e-4 5e-4 2.5e-3 --evaluate
  # is everything there for two seeds of each lambda, and for the anchors after them?
  python -m fpnkit.sweep --config configs/example_sweep.yaml --lambdas 1e-4 5e-4 --seeds 0 1 --anchors jpeg --dry-run
  # two trainings at a time
  python -m fpnkit.sweep --config configs/example_sweep.yaml --lambdas 3e-6 2e-5 1e-4 5e-4 2.5e-3 --jobs 2
  # the runs as tasks of one job array of Slurm
  python -m fpnkit.sweep --config configs/example_sweep.yaml --lambdas 1e-4 5e-4 --on slurm --slurm time=4:00:00
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO, cast

from fpnkit import cli
from fpnkit.anchors.catalogue import require_encoders, select
from fpnkit.config.flags import SHARED_FLAGS
from fpnkit.config.load import plain, to_yaml
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import ConfigError, FpnkitError, RunError, UserError
from fpnkit.foundation import guest, text
from fpnkit.foundation.callable_module import make_callable
from fpnkit.foundation.files import to_json, write_text
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.foundation.logs import DetachableStream
from fpnkit.foundation.process_record import ProcessRecord, Reporter
from fpnkit.foundation.tables import print_rows
from fpnkit.launch.here import foreground
from fpnkit.launch.local import command
from fpnkit.launch.needs import Needs, needs
from fpnkit.launch.places import AUTO, Place, Places, choose_places, number_of
from fpnkit.launch.queue import queued, with_jobs
from fpnkit.launch.request import read_points
from fpnkit.launch.slurm import require_accepted
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
from fpnkit.launch.sweep_report import SweepReport, action_for, sweep_report
from fpnkit.launch.sweep_submitting import Submission, points_of, submit_all
from fpnkit.launch.sweep_training import TO_DO, Work, exact, name_of, train_all
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.store import RunInfo, list_runs
from fpnkit.runs.trained import find_candidates


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
    parser.add_argument(
        "--jobs",
        metavar="N",
        help="trainings at a time, each with its share of the cores; auto: as many as there are cores, or CUDA devices",
    )
    cli.add_place(parser)
    parser.add_argument("--devices", metavar="A,B", default="", help="CUDA devices; one training a device at a time")
    parser.add_argument("--evaluate", action="store_true", help="evaluate the finished runs at the end")
    parser.add_argument(
        "--anchors", metavar="NAME", nargs="+", default=[], help="then measure these anchors on the same images"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything and say what would be done")
    cli.add_json(parser)
    return parser


def _run(options: argparse.Namespace, session: cli.Session) -> int:
    if not options.json:
        return _sweep(options, session)[0]
    with redirect_stdout(sys.stderr):
        code, report = _sweep(options, session)
    if report is not None:
        print(json.dumps(to_json(asdict(report)), indent=1, allow_nan=False))
    return code


def _sweep(options: argparse.Namespace, session: cli.Session) -> tuple[int, SweepReport | None]:
    """The exit code, and what was done or would be, unless the trainer refuses its input before that."""
    base_dir = cli.base_dir(options).absolute()
    if options.anchors:  # a wrong name or a missing encoder is reported now, not after hours
        require_encoders(select(options.anchors, "--anchors"), "--anchors")
    sweep, points = _read(options)
    require_base_directory(base_dir)
    sweep = extended(base_dir, sweep)
    runs = list_runs(base_dir) if base_dir.exists() else []
    state = _state(options, sweep, base_dir, runs, points)
    todo = [point for point in state if action_for(point) in TO_DO]
    _require_measurable(options, sweep, state if todo else [])
    places = _places(options, sweep, todo)
    _say_plan(sweep, base_dir, state)
    if places.why:
        print(places.why, flush=True)
    if guest.current() is not None:
        _require_detector(sweep, state)
    if todo:
        session.report.tell(phase="preparing")
        demand = _needs(options, sweep, todo, runs, base_dir, session.report)
        if isinstance(demand, int):
            return demand, None
        print(*replace(demand, at_once=len(places)).describe(), sep="\n", flush=True)
        demand.require_disk(base_dir)
    if options.dry_run:
        if code := _try_following(options, sweep, state, session.report):
            return code, None
        print("dry run: nothing was started", flush=True)
        planned = {(point.lmbda, point.seed): action_for(point) for point in state}
        return 0, sweep_report(sweep, base_dir, state, planned, dry_run=True)
    write_sweep(base_dir, sweep)
    session.report.tell(sweep=sweep.id, phase="training")
    lock = DirectoryLock(config_path(base_dir, sweep.id).parent, "another process is working on this sweep")
    try:
        if options.on == cli.SLURM:
            return _submit(options, sweep, base_dir, points)
        with foreground(quiet_stdout=options.json, report=session.report) as front:
            work = Work(sweep, base_dir, points, places, front, session.report)
            code = _conclude(work, train_all(work), options)
            runs = list_runs(base_dir)
            return code, sweep_report(sweep, base_dir, [find_point(sweep, runs, *each) for each in points], work.taken)
    finally:
        lock.release()


def _read(options: argparse.Namespace) -> tuple[Sweep, list[tuple[float, int]]]:
    """The sweep, and the (lambda, seed) pairs of this command in the order typed."""
    file = Path(options.config)
    points = read_points(file, cli.overrides(options), options.lambdas, options.seeds or [])
    sweep = new_sweep(file, points.config, points.lambdas, points.seeds)
    return sweep, [(lmbda, seed) for lmbda in points.lambdas for seed in points.seeds]


def _require_detector(sweep: Sweep, state: Sequence[SweepPoint]) -> None:
    """Raise `RunError` if a run has another detector: an object of the same name has the same settings."""
    from fpnkit.detectors.build import build_detector

    detector = build_detector(_config(sweep).detector)
    found = detector.fingerprint()
    for run in (point.run for point in state):
        known = None if run is None else run.detector_fingerprint
        if run is not None and known is not None and known != found:
            raise RunError(
                f"sweep {sweep.id}: required the detector of {run.name} (fingerprint {known[:8]}), found another one "
                f"({detector.name}, {found[:8]}); under another name it gets a sweep of its own"
            )


def _state(
    options: argparse.Namespace,
    sweep: Sweep,
    base_dir: Path,
    runs: Sequence[RunInfo],
    points: Sequence[tuple[float, int]],
) -> list[SweepPoint]:
    if options.on == cli.SLURM:
        return points_of(sweep, base_dir, runs, points)
    return list(with_jobs([find_point(sweep, runs, *point) for point in points], queued(base_dir), sweep.id))


def _submit(
    options: argparse.Namespace, sweep: Sweep, base_dir: Path, points: Sequence[tuple[float, int]]
) -> tuple[int, SweepReport]:
    """Hand it to Slurm. The state is read again: another command may have submitted before the lock was taken."""
    at_once = None if options.jobs in (None, AUTO) else number_of(options.jobs)
    following = [command(["--sweep", sweep.id, "--base-dir", str(base_dir)], "fpnkit.evaluate")] * options.evaluate
    following += _following_anchors(options, config_path(base_dir, sweep.id))
    work = Submission(sweep, base_dir, _config(sweep).slurm, at_once, following)
    state = points_of(sweep, base_dir, list_runs(base_dir), points)
    taken = submit_all(work, state)
    print("the queue: squeue --me; how far they are: this command again, or python -m fpnkit.runs", flush=True)
    return 0, sweep_report(sweep, base_dir, state, taken)


def _config(sweep: Sweep) -> CodecConfig:
    """Of its first run."""
    return sweep.config(*sweep.points()[0])


def _places(options: argparse.Namespace, sweep: Sweep, todo: Sequence[SweepPoint]) -> Places:
    devices = [name.strip() for name in options.devices.split(",") if name.strip()]
    if options.on == cli.SLURM:
        if devices:
            raise UserError(
                f"--devices {options.devices}: required none with --on slurm, which gives a job its devices"
            )
        if guest.current() is not None:
            raise UserError("--on slurm: required a detector that is no object, which no other process has")
        require_accepted(_config(sweep).slurm)
        return Places((Place(),), "")
    jobs = options.jobs or (AUTO if devices else "1")
    places = choose_places(jobs, devices, _config(sweep).training, len(todo))
    if len(places) > 1 and guest.current() is not None:
        raise UserError(f"--jobs {jobs}: required 1 with a detector that is an object, found {len(places)}")
    return places


def _say_plan(sweep: Sweep, base_dir: Path, state: Sequence[SweepPoint]) -> None:
    counts = {
        "finished": sum(point.status == "finished" for point in state),
        "running elsewhere": sum(point.status == "running" for point in state),
        "queued": sum(point.status == "queued" for point in state),
        "diverged before": sum(point.diverged for point in state),
        "to resume": sum(action_for(point) == "resume" for point in state),
        "to train": sum(action_for(point) == "train" for point in state),
    }
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    print(f"sweep {sweep.id}: {told}", f"plan: {sweep_path(base_dir, sweep.id)}", sep="\n", flush=True)


def _require_measurable(options: argparse.Namespace, sweep: Sweep, state: Sequence[SweepPoint]) -> None:
    """Raise now what would be raised after hours: by evaluation after the training of `state`, or by anchors."""
    if options.anchors or (options.evaluate and state):
        _config(sweep).data.require_test()
    if options.evaluate:
        for each in find_candidates(_finished(state), None, [], ()):
            try:
                each.config.data.require_test()
            except ConfigError as error:
                raise RunError(f"run {each.path}: {error}") from error


def _finished(state: Sequence[SweepPoint]) -> list[str]:
    return [str(point.run.path) for point in state if point.run and point.status == "finished"]


def _following(options: argparse.Namespace, config: Path, finished: Sequence[str]) -> list[list[str]]:
    """The commands that come after training; `config` is the sweep's own."""
    commands = [command(finished, "fpnkit.evaluate")] if options.evaluate and finished else []
    return commands + _following_anchors(options, config)


def _following_anchors(options: argparse.Namespace, config: Path) -> list[list[str]]:
    arguments = ["--config", str(config), "--only", *options.anchors]
    return [command(arguments, "fpnkit.anchors")] if options.anchors else []


def _try_following(options: argparse.Namespace, sweep: Sweep, state: Sequence[SweepPoint], report: Reporter) -> int:
    """Dry runs of them; 0, or the exit code of the first that fails."""
    with tempfile.TemporaryDirectory(prefix="fpnkit-") as folder:
        config = Path(folder) / "config.yaml"
        write_text(config, to_yaml(plain(_config(sweep))))
        for each in _following(options, config, _finished(state)):
            code, _ = _ask([*each, "--dry-run"], options, report)
            if code:
                return code
    return 0


def _ask(argv: Sequence[str], options: argparse.Namespace, report: Reporter) -> tuple[int, ProcessRecord]:
    """Run a command that leaves nothing behind."""
    with foreground(quiet_stdout=options.json, report=report) as front:
        code, found = front.run(argv)
    if front.asked:
        raise KeyboardInterrupt
    if code:
        report.tell(reason=found.reason)
    return code, found


def _needs(
    options: argparse.Namespace,
    sweep: Sweep,
    todo: Sequence[SweepPoint],
    runs: Sequence[RunInfo],
    base_dir: Path,
    report: Reporter,
) -> Needs | int:
    """Disk and time needed.

    If nothing comparable has finished yet, or something follows training, the trainer's dry run checks all input, the
    test set too, and gives the number of parameters; its exit code is returned if it fails.
    """
    demand = needs(sweep, todo, runs, base_dir, None)
    if demand.bytes is not None and not (options.dry_run or options.evaluate or options.anchors):
        return demand
    first = min(todo, key=lambda point: point.lmbda)  # the one that may be too small to buy anything
    varied = ["--lambda", repr(first.lmbda), "--seed", str(first.seed)]
    given = [part for flag, value in cli.given_flags(options).items() for part in (flag, value)]
    given += [part for each in options.set for part in ("--set", each)]
    if options.on == cli.SLURM:  # the machine that submits need not have the device
        given += ["--set", "training.device=cpu"]
    arguments = ["--config", options.config, *given, *varied, "--base-dir", str(base_dir), "--dry-run"]
    code, found = _ask(command(arguments), options, report)
    return code or needs(sweep, todo, runs, base_dir, found.parameters, found.cache_bytes or 0)


def _conclude(work: Work, code: int, options: argparse.Namespace) -> int:
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
        told = "; ".join(f"{name_of(point)} {_why(point)}" for point in unfinished)
        left = f"{len(unfinished)} of {len(asked_for)} not finished: {told}"
        print(left, flush=True)
    for each in _following(options, config_path(work.base_dir, work.sweep.id), _finished(asked_for)):
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
        exact(point.lmbda),
        str(point.seed),
        text.printable(name),
        text.printable(_why(point)),
        text.number(loss),
        text.number(bpp),
    ]


make_callable(__name__, "fpnkit.api.commands:sweep")

if __name__ == "__main__":
    sys.exit(main())
