"""The training loop, the same for codecs and detectors."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

from fpnkit.config.schema import TrainingBase
from fpnkit.errors import DivergedError
from fpnkit.foundation import clock, guest
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine, Split
from fpnkit.runs.writer import AnyRun
from fpnkit.torch_files import save_checkpoint
from fpnkit.training.background import BackgroundWriter
from fpnkit.training.checkpoint import remove_older_copies, rng_state, save_best, set_rng_state
from fpnkit.training.optim import Schedule
from fpnkit.training.ranks import ALONE, Ranks
from fpnkit.training.stop import StopRequest
from fpnkit.training.tally import Tally, Values, describe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """The result of validation, for exactly the model that `content` prepares for saving."""

    values: Values
    content: Callable[[], dict[str, Any]]  # what best_model.pth gets; called in any thread, also after further steps
    report: Sequence[str]  # lines for training_diagnostics_epoch_N.txt


class Learner(Protocol):
    """What the loop trains. Every step depends only on its weights, (epoch, index) and torch's generator."""

    steps_per_epoch: int  # 0 for what is trained before the loop: an epoch is then a validation
    device: torch.device

    @property
    def detector_fingerprint(self) -> str | None:
        """Fingerprint of the frozen detector; None when a detector is trained."""
        ...

    def step(self, epoch: int, index: int, lr: float) -> Tally:
        """One optimizer step on batch `index` of `epoch`."""
        ...

    def close(self) -> None:
        """End threads; no step follows."""
        ...

    def values(self, tally: Tally) -> Values:
        """The values of a tally of steps."""
        ...

    def settings(self) -> dict[str, Any]:
        """The config, without secrets."""
        ...

    def validate(self) -> Validation:
        """Evaluate without changing the training state."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimizers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Weights and optimizers."""
        ...


@dataclass
class Progress:
    """Progress of training; saved with the weights, so that a resumed run continues as if nothing had happened."""

    epoch: int = 1
    index: int = 0  # next batch of the epoch
    step: int = 0  # finished steps
    first_loss: float | None = None
    best_loss: float = math.inf
    best_epoch: int = 0
    window: Tally = field(default_factory=Tally)  # since the last line of metrics.jsonl
    epoch_tally: Tally = field(default_factory=Tally)
    max_gradient_norm: float = 0.0

    def plain(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**vars(self), "window": self.window.plain(), "epoch_tally": self.epoch_tally.plain()}

    def next_epoch(self) -> None:
        """Validation of this epoch is done and logged."""
        self.epoch, self.index = self.epoch + 1, 0
        self.epoch_tally, self.max_gradient_norm = Tally(), 0.0

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Progress:
        """The inverse of `plain`."""
        return cls(**{**plain, "window": Tally(**plain["window"]), "epoch_tally": Tally(**plain["epoch_tally"])})


@dataclass(frozen=True)
class EpochEnd:
    """The argument of functions called after an epoch."""

    directory: Path
    epoch: int
    training: Tally
    max_gradient_norm: float
    validation: Validation
    lr: float
    seconds: float
    wait_for_files: Callable[[], None]  # until best_model.pth is that of the best epoch so far; raises StorageError
    images_per_second: Sequence[float] = ()  # of each process, while it does not wait for the others


@dataclass(frozen=True)
class TrainingEnd:
    """How training ended; `reason` is finished, early stop, or the source of the stop request."""

    finished: bool
    reason: str


def train(
    learner: Learner,
    run: AnyRun,
    settings: TrainingBase,
    *,
    warmup_steps: int = 0,
    after_epoch: Sequence[Callable[[EpochEnd], None]] = (),
    resume: dict[str, Any] | None = None,
    trains_on: bool = False,
    ranks: Ranks = ALONE,
) -> TrainingEnd:
    """Train to the end, an early stop or a stop request; the state is saved in each case. `trains_on`: an early stop
    from before `resume` does not count. Of several `ranks` all begin as rank 0 does, and only rank 0 writes.

    An epoch's files are written during the next epoch's steps, in the order best model, run.json, last.pth; so even
    after a kill the latter two only name models that exist. Everything is written when this returns or raises.
    """
    total = settings.epochs * learner.steps_per_epoch
    schedule = Schedule(settings.schedule, settings.lr, total, warmup_steps, settings.plateau_epochs)
    at = Progress() if resume is None else _restore(resume, learner, schedule)
    if ranks.size > 1:
        at = _restore(ranks.first(_state(learner, schedule, at)), learner, schedule)
    bar = tqdm(total=total, initial=at.step, unit="step", disable=None, dynamic_ncols=True)
    with (
        StopRequest(run.stop_requested, ranks) as stop,
        bar,
        closing(learner),
        BackgroundWriter(ranks.leads) as files,
    ):
        if at.step:  # the record may be older than the state
            run.progress(at.epoch if at.index else at.epoch - 1, at.step)
        while not (over := _over(settings, at, schedule, trains_on=trains_on)):
            trains_on = False
            started = saved = time.monotonic()
            speed = _Speed(settings.batch_size, ranks)
            while at.index < learner.steps_per_epoch:
                lr = schedule.lr_at(at.step)
                _step(learner, at, lr)
                speed.steps += 1
                bar.update()
                if at.step % settings.log_every == 0 or at.index == learner.steps_per_epoch:
                    _log_window(learner, run, at, lr, bar)
                run.progress(at.epoch, at.step)
                files.check()
                stopping = stop.requested()
                if stopping or time.monotonic() - saved > settings.save_every_seconds:
                    _save(files, run, learner, schedule, at)
                    saved = time.monotonic()
                if stopping:
                    return _stopped(files, run, stop, at, ranks)
            rates = speed.of_each()
            end = replace(_validate(learner, run, at, schedule, started, files), images_per_second=rates)
            if end.validation.values.loss < at.best_loss:
                _keep_best(files, run, at, end.validation, settings.keep_best)
            for function in after_epoch:
                function(end)
            at.next_epoch()
            _save(files, run, learner, schedule, at)
            if stop.requested() and at.epoch <= settings.epochs:
                return _stopped(files, run, stop, at, ranks)
    return TrainingEnd(True, over)


class _Speed:
    """Images per second of each process, without the time in which it waits for the others."""

    def __init__(self, batch_size: int, ranks: Ranks) -> None:
        self.steps = 0
        self._share, self._ranks = batch_size / ranks.size, ranks
        self._started, self._waited = time.monotonic(), ranks.waited_seconds

    def of_each(self) -> list[float]:
        """By rank, of the steps since the beginning."""
        busy = time.monotonic() - self._started - (self._ranks.waited_seconds - self._waited)
        return self._ranks.gathered(self.steps * self._share / busy if self.steps else 0.0)


def _over(settings: TrainingBase, at: Progress, schedule: Schedule, *, trains_on: bool) -> str:
    """Why no step follows; empty if one does. Also asked at the beginning: a run may have been killed at its end."""
    waited = schedule.epochs_since_best
    if settings.patience is not None and waited >= settings.patience and at.index == 0 and not trains_on:
        log.info("early stop: no better validation loss for %d epochs", waited)
        return "early stop"
    return "finished" if at.epoch > settings.epochs else ""


def _step(learner: Learner, at: Progress, lr: float) -> None:
    try:
        tally = learner.step(at.epoch, at.index, lr)
        at.first_loss = at.first_loss or tally.loss
        if tally.loss > _EXPLOSION * at.first_loss:
            worst = max(tally.mse, key=lambda name: tally.mse[name], default=None)
            where = f"; the largest error is in level {worst}" if worst else ""
            raise DivergedError(f"the loss is {tally.loss:.4g}, the first step's was {at.first_loss:.4g}{where}")
    except DivergedError as error:
        text = f"diverged at step {at.step + 1} (epoch {at.epoch}): {error}; try a smaller training.lr than {lr:.2e}"
        raise DivergedError(text) from None
    at.step, at.index = at.step + 1, at.index + 1
    at.window, at.epoch_tally = at.window + tally, at.epoch_tally + tally
    at.max_gradient_norm = max(at.max_gradient_norm, tally.gradient_norm)


_EXPLOSION = 100.0  # times the first step's loss, which itself is that of untrained weights


def _log_window(learner: Learner, run: AnyRun, at: Progress, lr: float, bar: tqdm[Any]) -> None:
    values = learner.values(at.window)
    run.metric(_line("train", at, values, lr, run.seconds))
    at.window = Tally()
    log.debug("step %d (epoch %d): %s", at.step, at.epoch, describe(values))  # for tail -f; the terminal has the bar
    bar.set_postfix_str(f"epoch {at.epoch}, loss {values.loss:.4f}")


def _validate(
    learner: Learner, run: AnyRun, at: Progress, schedule: Schedule, started: float, files: BackgroundWriter
) -> EpochEnd:
    lr = schedule.lr_at(max(0, at.step - 1))  # of the epoch's last step
    validation = learner.validate()
    _require_finite(at, validation.values)
    run.metric(_line("val", at, validation.values, lr, run.seconds))
    seconds = time.monotonic() - started
    log.info("epoch %d: validation %s (%.1f s)", at.epoch, describe(validation.values), seconds)
    schedule.epoch_ended(validation.values.loss)
    return EpochEnd(run.path, at.epoch, at.epoch_tally, at.max_gradient_norm, validation, lr, seconds, files.wait)


def _require_finite(at: Progress, values: Values) -> None:
    if math.isfinite(values.loss):
        return
    levels = [name for name, rate in (values.bpp_level or {}).items() if not math.isfinite(rate)]
    levels += [name for name, snr in (values.snr_db or {}).items() if math.isnan(snr) and name not in levels]
    where = f" (level {', '.join(levels)})" if levels else ""
    raise DivergedError(f"diverged at step {at.step} (epoch {at.epoch}): the validation loss is {values.loss}{where}")


def _line(split: Split, at: Progress, values: Values, lr: float, seconds: float) -> MetricsLine:
    own = {name: value for name, value in vars(values).items() if name not in ("map", "map50", "terms")}
    extra = {name: value for name, value in (("map", values.map), ("map50", values.map50)) if value is not None}
    extra |= values.terms or {}
    time = clock.to_text(clock.now())
    return MetricsLine(time, split, at.epoch, at.step, lr=lr, seconds=seconds, extra=extra, **own)


def _keep_best(files: BackgroundWriter, run: AnyRun, at: Progress, validation: Validation, keep: int) -> None:
    at.best_loss, at.best_epoch = loss, epoch = validation.values.loss, at.epoch
    metrics = {name: value for name, value in vars(validation.values).items() if value is not None}

    def write() -> None:
        content = {**validation.content(), "epoch": epoch, "loss": loss, "metrics": metrics}
        file = save_best(run.path, epoch, loss, content, keep)
        model_hash = content.get("model_hash")  # a detector has none
        run.best(epoch=epoch, loss=loss, file=file, metrics=metrics, model_hash=model_hash)
        if keep:
            remove_older_copies(run.path, epoch, file, keep)

    files.submit(write)


def _save(files: BackgroundWriter, run: AnyRun, learner: Learner, schedule: Schedule, at: Progress) -> None:
    if not files.writes:
        return
    state = copy.deepcopy(_state(learner, schedule, at))  # the next step changes the learner's own
    files.submit(lambda: save_checkpoint(run.path / layout.LAST, state))


def _state(learner: Learner, schedule: Schedule, at: Progress) -> dict[str, Any]:
    return {
        "kind": "last",
        "config": learner.settings(),
        "learner": learner.state_dict(),
        "schedule": schedule.state_dict(),
        "progress": at.plain(),
        "rng": rng_state(learner.device),
    }


def _restore(state: dict[str, Any], learner: Learner, schedule: Schedule) -> Progress:
    learner.load_state_dict(state["learner"])
    schedule.load_state_dict(state["schedule"])
    set_rng_state(state["rng"], learner.device)
    return Progress.of(state["progress"])


def _stopped(files: BackgroundWriter, run: AnyRun, stop: StopRequest, at: Progress, ranks: Ranks) -> TrainingEnd:
    files.wait()
    again = f"{'python' if ranks.size == 1 else 'torchrun …'} -m fpnkit.train --resume {run.path}"
    if guest.current() is not None:
        again = f'fpnkit.train(fpnkit.run("{run.path}"), detector=…)'
    log.info("stopped by %s after step %d; to go on: %s", stop.reason, at.step, again)
    return TrainingEnd(False, stop.reason or "")
