"""Train a codec on a detector's feature pyramids, or train a detector: python -m fpnkit.train --config FILE

The run directory is the last line on stdout. Exit codes: 0 trained, 1 failed, 2 the input is wrong and nothing was
started, 130 stopped on request with its state saved.
`torchrun --nproc-per-node N -m fpnkit.train …` trains one run with N processes, see docs/parallel.md.

Examples:
  # built-in images and detector, a few minutes
  python -m fpnkit.train --config configs/train_fused_fpn.yaml
  # before a long training: are data, weights and disk in order, and what can the lambda buy?
  python -m fpnkit.train --config configs/train_fused_nanodet_coco.yaml --lambda 8000 --epochs 20 --dry-run
  # more epochs of a run, found by the time in its name
  python -m fpnkit.train --resume 20261216_143022 --epochs 12
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpnkit import cli
from fpnkit.config.flags import FLAGS
from fpnkit.config.identity import loss_settings, settings_hash
from fpnkit.config.load import load_config, shown_settings, to_yaml
from fpnkit.config.schema import CodecConfig, Config
from fpnkit.errors import ConfigError, DivergedError, FpnkitError, RunError, UserError
from fpnkit.foundation import guest
from fpnkit.foundation.callable_module import make_callable
from fpnkit.foundation.files import same_disk, write_text
from fpnkit.foundation.processes import host_name
from fpnkit.launch.launchers import submit_to_slurm
from fpnkit.launch.local import command
from fpnkit.launch.needs import needs_of_run
from fpnkit.launch.slurm import require_accepted
from fpnkit.runs import layout
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.job import SchedulerJob, hand_over
from fpnkit.runs.record import Parallel, RunRecord, read_record
from fpnkit.runs.settings import summary_of
from fpnkit.runs.writer import AnyRun, RunWriter, UnwrittenRun, refuse_running
from fpnkit.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    import torch

    from fpnkit.foundation.logs import RunLog
    from fpnkit.foundation.signals import EarlyStop
    from fpnkit.training.loop import Learner

log = logging.getLogger("fpnkit.train")  # the module's name is `__main__` when it runs as a command

_INTERRUPTED = "interrupted before training began; no run directory was made"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""

    def command(ranks: Ranks) -> int:
        return cli.run(_parser(), arguments, functools.partial(_run, ranks=ranks), interrupted=_INTERRUPTED)

    if guest.current() is not None or "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return command(ALONE)
    from fpnkit.training import torchrun

    with torchrun.joined() as ranks:
        return ranks.ended(lambda: command(ranks))


@dataclass(frozen=True)
class _Ready:
    """A training of which all that can be wrong has been checked; its run is not yet touched."""

    learner: Learner
    config: Config
    opened: Callable[[Parallel | None], RunWriter]
    before: RunRecord | None = None
    state: dict[str, Any] | None = None  # to go on from
    trains_on: bool = False  # the run had finished before


def _run(options: argparse.Namespace, session: cli.Session, *, ranks: Ranks) -> int:
    if options.on == cli.SLURM:
        return _submit(options, session)
    from fpnkit.foundation.logs import RunLog

    with closing(RunLog(logging.INFO if ranks.leads else logging.WARNING)) as run_log:
        with ranks.agreed():
            ready = (_resumed if options.resume else _new)(options, session, ranks)
        if options.dry_run:
            return 0
        session.early.check()
        parallel = _parallel(ranks, ready.learner.device, ready.before)
        with ranks.agreed():
            run = ready.opened(parallel) if ranks.leads else UnwrittenRun()
        return _train(ready, run, run_log, session, ranks)


def _parallel(ranks: Ranks, device: torch.device, before: RunRecord | None) -> Parallel | None:
    """None for a run that one process trains, and has always trained."""
    import torch

    exact = str(torch.empty(0, device=device).device)  # `cuda` with its number
    members = ranks.gathered((exact, host_name(), os.getpid()))
    earlier = before.parallel if before is not None else None
    numbers: tuple[int, ...] = ()
    if before is not None:
        last, numbers = (earlier.world_size, earlier.before) if earlier is not None else (1, ())
        if last != ranks.size:
            numbers = (*numbers, last)
            goes = "process goes" if ranks.size == 1 else "processes go"
            told = "%d %s on with what %d have trained: what follows is not the same bit for bit"
            log.info(told, ranks.size, goes, last)
    if ranks.size == 1 and not numbers:
        return None
    devices, hosts, pids = zip(*members, strict=True)
    return Parallel(ranks.size, devices, hosts, pids, numbers)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.train", __doc__)
    parser.add_argument("--config", metavar="FILE", help="YAML; see configs/")
    cli.add_settings(parser, FLAGS)
    cli.add_base_dir(parser)
    parser.add_argument("--resume", metavar="RUN", help="continue a run: a path or a unique part of its name")
    parser.add_argument("--sweep", metavar="ID", help="the sweep that the run belongs to")
    cli.add_place(parser)
    parser.add_argument("--dry-run", action="store_true", help="check everything, train nothing, leave nothing behind")
    return parser


def _new(options: argparse.Namespace, session: cli.Session, ranks: Ranks) -> _Ready:
    config, base_dir = _config(options)
    ranks.require_batch(config.training.batch_size)
    config = _with_weights(config)  # torch only from here on, so that a mistyped key is reported immediately
    learner = _learner(config, session, ranks, dry_run=options.dry_run, base_dir=base_dir)
    if options.dry_run:
        log.info("dry run: everything is in order; a run would be created in %s", base_dir)

    def create(parallel: Parallel | None) -> RunWriter:
        return RunWriter.create(
            base_dir,
            kind=config.task,
            config_yaml=to_yaml(shown_settings(config)),
            summary=summary_of(config),
            epochs=config.training.epochs,
            argv=guest.argv(),
            sweep=options.sweep,
            settings_hash=_settings_hash(config),
            detector_fingerprint=learner.detector_fingerprint,
            parallel=parallel,
        )

    return _Ready(learner, config, create)


def _config(options: argparse.Namespace) -> tuple[Config, Path]:
    """Of a new run, and where it will be made."""
    if options.config is None:
        raise ConfigError(["required --config FILE, or --resume RUN"])
    config = load_config(options.config, cli.overrides(options))
    base_dir = _base_dir(options) or layout.default_base_dir(config.task)
    require_base_directory(base_dir)
    return config, base_dir


def _with_weights(config: Config) -> Config:
    """With the name of a file in place of that of a run."""
    from fpnkit.detectors.build import with_weights_file

    return config.model_copy(update={"detector": with_weights_file(config.detector)})


def _to_resume(options: argparse.Namespace) -> Path:
    """The run, which nobody trains."""
    given = [
        flag for flag in (*FLAGS, "config", "set", "sweep", "dry_run") if getattr(options, flag) and flag != "--epochs"
    ]
    if given:
        names = ", ".join(f"--{name.strip('-').replace('_', '-')}" for name in given)
        raise ConfigError([f"--resume takes every setting from the run but --epochs; found {names}"])
    path = layout.find_run_of_either_kind(options.resume, _base_dir(options))
    refuse_running(path, read_record(path))
    if not (path / layout.LAST).exists():
        raise RunError(f"run {path}: required {layout.LAST} to resume from, found none; it ended before its first save")
    return path


def _resumed(options: argparse.Namespace, session: cli.Session, ranks: Ranks) -> _Ready:
    path = _to_resume(options)
    before = read_record(path)
    config = load_config(path / layout.CONFIG_USED, cli.overrides(options))
    ranks.require_batch(config.training.batch_size)

    from fpnkit.torch_files import load_checkpoint
    from fpnkit.training.checkpoint import require_resumable
    from fpnkit.training.saved_state import restore_learner

    state = load_checkpoint(path / layout.LAST, "last")
    finished = before.exit_code == 0
    require_resumable(path, config, state, finished=finished)
    learner = _learner(config, session, ranks, resumed=True)
    restore_learner(path / layout.LAST, state, learner)  # before the run is touched: a mismatch leaves it unchanged

    def resume(parallel: Parallel | None) -> RunWriter:
        run = RunWriter.resume(
            path,
            argv=guest.argv(),
            epochs=config.training.epochs,
            settings_hash=_settings_hash(config),
            detector_fingerprint=learner.detector_fingerprint,
            parallel=parallel,
        )
        write_text(path / layout.CONFIG_USED, to_yaml(shown_settings(config)))
        return run

    return _Ready(learner, config, resume, before, state, trains_on=finished)


def _submit(options: argparse.Namespace, session: cli.Session) -> int:
    """Check all that a training needs but its device, and hand the same command, without `--on`, to Slurm."""
    if guest.current() is not None:
        raise UserError("--on slurm: required a detector that is no object, which no other process has")
    if options.resume:
        run = _to_resume(options)
        config, base_dir = load_config(run / layout.CONFIG_USED, cli.overrides(options)), run.parent
        arguments = ["--resume", str(run)]
    else:
        config, base_dir = _config(options)
        run = None
        arguments = ["--config", str(Path(options.config).absolute()), "--base-dir", str(base_dir)]
        arguments += [part for text in options.set for part in ("--set", text)]
        arguments += ["--sweep", options.sweep] if options.sweep else []
        arguments += [
            part for key, value in config.slurm.items() for part in ("--set", f"slurm.{key}={json.dumps(value)}")
        ]
    arguments += [part for flag, value in cli.given_flags(options).items() for part in (flag, value)]
    require_accepted(config.slurm)
    if run is None:
        from fpnkit.foundation.logs import RunLog

        here = config.model_copy(update={"training": config.training.model_copy(update={"device": "cpu"})})
        with closing(RunLog()):
            _learner(_with_weights(here), session, ALONE, dry_run=True, base_dir=base_dir)
    if options.dry_run:
        print("dry run: everything is in order, and Slurm would accept it; nothing was submitted")
        return 0
    launch = submit_to_slurm([command(arguments)], base_dir, config.slurm)[0]
    if run is not None:
        hand_over(run, SchedulerJob(launch.job, str(launch.log)))
    session.report.tell(launched=str(launch.file))
    print(f"submitted as {launch.label}; its output: {launch.log}")
    return 0


def _base_dir(options: argparse.Namespace) -> Path | None:
    given: Path | None = options.base_dir
    return None if given is None else given.absolute()


def _learner(
    config: Config,
    session: cli.Session,
    ranks: Ranks,
    *,
    resumed: bool = False,
    dry_run: bool = False,
    base_dir: Path | None = None,
) -> Learner:
    """`base_dir`: where a new run will need room."""
    from fpnkit.training.prepare import Size, codec_learner, detector_learner

    def check(size: Size) -> None:
        if isinstance(config, CodecConfig):
            session.report.tell(parameters=size.parameters)
        if base_dir is not None:
            beside = size.cache_bytes if size.cache is not None and same_disk(size.cache, base_dir) else 0
            session.report.tell(cache_bytes=beside)
            demand = needs_of_run(config, size.parameters, base_dir, beside)
            log.info("%s", demand.describe()[0])
            demand.require_disk(base_dir)

    session.early.check()
    session.report.tell(phase="preparing")
    if not isinstance(config, CodecConfig):
        return detector_learner(config, check, ranks)
    return codec_learner(config, resumed=resumed, dry_run=dry_run, check=check, ranks=ranks)


def _train(ready: _Ready, run: AnyRun, run_log: RunLog, session: cli.Session, ranks: Ranks) -> int:
    if isinstance(run, UnwrittenRun):
        return _follow(ready, run, session.early, ranks)
    session.report.tell(run=str(run.path), phase="training")
    run_log.write_to(run.log_path, run.redact)
    log.info("run %s", run.path)
    if ranks.size > 1:
        log.info(
            "%d processes, each with %d of a batch's images", ranks.size, ready.config.training.batch_size // ranks.size
        )
    failure: Exception | None = None
    try:
        code, reason = _outcome(ready, run, session.early, ranks)
    except KeyboardInterrupt:
        code, reason = cli.STOPPED, "interrupted"
    except DivergedError as error:
        log.error("%s", error)
        code, reason, failure = error.exit_code, "diverged", error
    except FpnkitError as error:
        log.error("%s", error)
        code, reason, failure = FpnkitError.exit_code, str(error), error
    except Exception as error:
        log.exception("crashed")
        code, reason, failure = FpnkitError.exit_code, _named(error), error
    if failure is not None:
        ranks.fail(reason, failure)
    run.end(reason, code)
    session.report.tell(reason=run.redact(reason))
    print(run.path)
    return code


def _follow(ready: _Ready, run: UnwrittenRun, early: EarlyStop, ranks: Ranks) -> int:
    """The same training beside rank 0, which tells of its end; only what nobody expected is told here as well."""
    try:
        code, _ = _outcome(ready, run, early, ranks)
    except KeyboardInterrupt:
        return cli.STOPPED
    except FpnkitError as error:
        ranks.fail(str(error), error)
        return FpnkitError.exit_code
    except Exception as error:
        log.exception("crashed")
        ranks.fail(_named(error), error)
        return FpnkitError.exit_code
    return code


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _outcome(ready: _Ready, run: AnyRun, early: EarlyStop, ranks: Ranks) -> tuple[int, str]:
    from fpnkit.analysis.training import TrainingFigures
    from fpnkit.training.diagnostics import diagnostics_writer
    from fpnkit.training.loop import train
    from fpnkit.training.tally import Values, describe

    config = ready.config
    figures = TrainingFigures(config)
    early.check()
    outcome = train(
        ready.learner,
        run,
        config.training,
        warmup_steps=0 if isinstance(config, CodecConfig) else ready.learner.steps_per_epoch,
        after_epoch=[diagnostics_writer(config.analysis.diagnostics_every), figures.after_epoch] if ranks.leads else [],
        resume=ready.state,
        trains_on=ready.trains_on,
        ranks=ranks,
    )
    if outcome.finished and ranks.leads:
        figures.finish(run.path)
    best = run.record.best
    if best is not None:
        print(f"best epoch {best.epoch} of {config.training.epochs}: {describe(Values(**best.metrics))}")
    return 0 if outcome.finished else cli.STOPPED, outcome.reason


def _settings_hash(config: Config) -> str:
    """Computed from settings without secrets, as in `config_used.yaml`."""
    return settings_hash(loss_settings(shown_settings(config)))


make_callable(__name__, "fpnkit.api.commands:train")

if __name__ == "__main__":
    sys.exit(main())
