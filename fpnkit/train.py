"""Train a codec on a detector's feature pyramids, or train a detector: python -m fpnkit.train --config FILE

The run directory is the last line on stdout. Exit codes: 0 trained, 1 failed, 2 the input is wrong and nothing was
started, 130 stopped on request with its state saved.

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
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpnkit import cli
from fpnkit.config.flags import FLAGS
from fpnkit.config.identity import detector_name, loss_settings, settings_hash
from fpnkit.config.load import load_config, shown_settings, to_yaml
from fpnkit.config.schema import CodecConfig, Config, FolderData, ImageSource, ShapesData
from fpnkit.errors import AmbiguousRunError, ConfigError, DivergedError, FpnkitError, RunError
from fpnkit.foundation import guest
from fpnkit.foundation.callable_module import make_callable
from fpnkit.foundation.files import same_disk, write_text
from fpnkit.launch.needs import needs_of_run
from fpnkit.runs import layout
from fpnkit.runs.create import require_base_directory
from fpnkit.runs.record import ConfigSummary, read_record
from fpnkit.runs.writer import RunWriter, refuse_running

if TYPE_CHECKING:
    from fpnkit.foundation.logs import RunLog
    from fpnkit.foundation.signals import EarlyStop
    from fpnkit.training.loop import Learner

log = logging.getLogger("fpnkit.train")  # the module's name is `__main__` when it runs as a command

KINDS: tuple[layout.Kind, ...] = ("fpn_compression", "detection")
_INTERRUPTED = "interrupted before training began; no run directory was made"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(_parser(), arguments, _run, interrupted=_INTERRUPTED)


def _run(options: argparse.Namespace, session: cli.Session) -> int:
    return _resume(options, session) if options.resume else _start(options, session)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.train", __doc__)
    parser.add_argument("--config", metavar="FILE", help="YAML; see configs/")
    cli.add_settings(parser, FLAGS)
    cli.add_base_dir(parser)
    parser.add_argument("--resume", metavar="RUN", help="continue a run: a path or a unique part of its name")
    parser.add_argument("--sweep", metavar="ID", help="the sweep that the run belongs to")
    parser.add_argument("--dry-run", action="store_true", help="check everything, train nothing, leave nothing behind")
    return parser


def _start(options: argparse.Namespace, session: cli.Session) -> int:
    if options.config is None:
        raise ConfigError(["required --config FILE, or --resume RUN"])
    config = load_config(options.config, cli.overrides(options))
    base_dir = _base_dir(options) or layout.default_base_dir(config.task)
    require_base_directory(base_dir)

    from fpnkit.detectors.build import (
        with_weights_file,  # torch only from here on, so that a mistyped key is reported immediately
    )
    from fpnkit.foundation.logs import RunLog

    config = config.model_copy(update={"detector": with_weights_file(config.detector)})
    run_log = RunLog()
    try:
        learner = _learner(config, session, dry_run=options.dry_run, base_dir=base_dir)
        if options.dry_run:
            log.info("dry run: everything is in order; a run would be created in %s", base_dir)
            return 0
        session.early.check()
        run = RunWriter.create(
            base_dir,
            kind=config.task,
            config_yaml=to_yaml(shown_settings(config)),
            summary=_summary(config),
            epochs=config.training.epochs,
            argv=guest.argv(),
            sweep=options.sweep,
            settings_hash=_settings_hash(config),
            detector_fingerprint=learner.detector_fingerprint,
        )
        return _train(learner, config, run, run_log, None, session)
    finally:
        run_log.close()


def _resume(options: argparse.Namespace, session: cli.Session) -> int:
    given = [
        flag for flag in (*FLAGS, "config", "set", "sweep", "dry_run") if getattr(options, flag) and flag != "--epochs"
    ]
    if given:
        names = ", ".join(f"--{name.strip('-').replace('_', '-')}" for name in given)
        raise ConfigError([f"--resume takes every setting from the run but --epochs; found {names}"])
    path = _find(options.resume, _base_dir(options))
    before = read_record(path)
    refuse_running(path, before)
    config = load_config(path / layout.CONFIG_USED, cli.overrides(options))

    from fpnkit.foundation.logs import RunLog
    from fpnkit.torch_files import load_checkpoint
    from fpnkit.training.checkpoint import require_resumable
    from fpnkit.training.saved_state import restore_learner

    if not (path / layout.LAST).exists():
        raise RunError(f"run {path}: required {layout.LAST} to resume from, found none; it ended before its first save")
    state = load_checkpoint(path / layout.LAST, "last")
    finished = before.exit_code == 0
    require_resumable(path, config, state, finished=finished)
    run_log = RunLog()
    try:
        learner = _learner(config, session, resumed=True)
        restore_learner(
            path / layout.LAST, state, learner
        )  # before the run is touched, so that a mismatch leaves it unchanged
        session.early.check()
        run = RunWriter.resume(
            path,
            argv=guest.argv(),
            epochs=config.training.epochs,
            settings_hash=_settings_hash(config),
            detector_fingerprint=learner.detector_fingerprint,
        )
        write_text(path / layout.CONFIG_USED, to_yaml(shown_settings(config)))
        return _train(learner, config, run, run_log, state, session, trains_on=finished)
    finally:
        run_log.close()


def _base_dir(options: argparse.Namespace) -> Path | None:
    given: Path | None = options.base_dir
    return None if given is None else given.absolute()


def _find(text: str, base_dir: Path | None) -> Path:
    """A run of either kind, unless a base directory is given; a name that matches one of each kind is refused."""
    if base_dir is not None:
        return layout.find_run(text, base_dir).absolute()
    found: list[Path] = []
    errors: list[RunError] = []
    for kind in KINDS:
        try:
            found.append(layout.find_run(text, layout.default_base_dir(kind)).absolute())
        except AmbiguousRunError:
            raise
        except RunError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    if len(set(found)) > 1:
        raise RunError(f"run {text!r}: two runs match; name one of them: {', '.join(map(str, found))}")
    return found[0]


def _learner(
    config: Config,
    session: cli.Session,
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
        return detector_learner(config, check)
    return codec_learner(config, resumed=resumed, dry_run=dry_run, check=check)


def _train(
    learner: Learner,
    config: Config,
    run: RunWriter,
    run_log: RunLog,
    state: dict[str, Any] | None,
    session: cli.Session,
    *,
    trains_on: bool = False,
) -> int:
    """`trains_on`: the run had finished before."""
    session.report.tell(run=str(run.path), phase="training")
    run_log.write_to(run.log_path, run.redact)
    log.info("run %s", run.path)
    try:
        code, reason = _outcome(learner, config, run, state, session.early, trains_on=trains_on)
    except KeyboardInterrupt:
        code, reason = cli.STOPPED, "interrupted"
    except DivergedError as error:
        log.error("%s", error)
        code, reason = error.exit_code, "diverged"
    except FpnkitError as error:
        log.error("%s", error)
        code, reason = FpnkitError.exit_code, str(error)
    except Exception as error:
        log.exception("crashed")
        code, reason = FpnkitError.exit_code, f"{type(error).__name__}: {error}".splitlines()[0][:200]
    run.end(reason, code)
    session.report.tell(reason=run.redact(reason))
    print(run.path)
    return code


def _outcome(
    learner: Learner,
    config: Config,
    run: RunWriter,
    state: dict[str, Any] | None,
    early: EarlyStop,
    *,
    trains_on: bool,
) -> tuple[int, str]:
    from fpnkit.analysis.training import TrainingFigures
    from fpnkit.training.diagnostics import diagnostics_writer
    from fpnkit.training.loop import train
    from fpnkit.training.tally import Values, describe

    figures = TrainingFigures(config)
    early.check()
    outcome = train(
        learner,
        run,
        config.training,
        warmup_steps=0 if isinstance(config, CodecConfig) else learner.steps_per_epoch,
        after_epoch=[diagnostics_writer(config.analysis.diagnostics_every), figures.after_epoch],
        resume=state,
        trains_on=trains_on,
    )
    if outcome.finished:
        figures.finish(run.path)
    best = run.record.best
    if best is not None:
        print(f"best epoch {best.epoch} of {config.training.epochs}: {describe(Values(**best.metrics))}")
    return 0 if outcome.finished else cli.STOPPED, outcome.reason


def _settings_hash(config: Config) -> str:
    """Computed from settings without secrets, as in `config_used.yaml`."""
    return settings_hash(loss_settings(shown_settings(config)))


def _summary(config: Config) -> ConfigSummary:
    return ConfigSummary(
        lmbda=config.loss.lmbda if isinstance(config, CodecConfig) else None,
        lr=config.training.lr,
        batch_size=config.training.batch_size,
        codec=config.codec.kind if isinstance(config, CodecConfig) else None,
        detector=detector_name(config.detector),
        dataset=_dataset(config.data.train),
        seed=config.seed,
    )


def _dataset(source: ImageSource) -> str:
    """The folder name that people would use for the data set."""
    if isinstance(source, ShapesData):
        return "shapes"
    path = Path(source.images)
    return path.name if isinstance(source, FolderData) or path.name != "images" else path.parent.name


make_callable(__name__, "fpnkit.api.commands:train")

if __name__ == "__main__":
    sys.exit(main())
