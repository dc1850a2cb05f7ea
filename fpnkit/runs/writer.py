"""The trainer's side of a run directory; only it writes run.json."""

import contextlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fpnkit.errors import RunError, StorageError
from fpnkit.foundation import clock
from fpnkit.foundation.files import directory_size, storage_error, write_json, write_text
from fpnkit.foundation.lock import DirectoryLock
from fpnkit.foundation.processes import host_name, own_process, process_start
from fpnkit.foundation.redact import Redactor
from fpnkit.foundation.temporaries import remove_temporaries
from fpnkit.runs import commands, layout, provenance
from fpnkit.runs.create import create_run_directory
from fpnkit.runs.job import note_job, read_job, surrounding_job
from fpnkit.runs.metrics import MetricsLine, MetricsWriter, read_metrics
from fpnkit.runs.record import Best, ConfigSummary, Parallel, RunRecord, read_record, record_to_dict, trained_seconds
from fpnkit.runs.status import EXIT_CRASHED, EXIT_FINISHED, beats_by_the_disk, status_of

_log = logging.getLogger(__name__)


class RunWriter:
    """One process training one run, from `create` or `resume` to `end`.

    As a context manager it always ends the run: finished if the block is left normally, crashed on an error.
    """

    path: Path
    log_path: Path  # the human log of this process, to be written by a logging handler

    @classmethod
    def create(
        cls,
        base_dir: Path,
        *,
        kind: layout.Kind,
        config_yaml: str,
        summary: ConfigSummary,
        epochs: int,
        argv: Sequence[str],
        heartbeat_seconds: float = 10.0,
        sweep: str | None = None,
        settings_hash: str | None = None,
        detector_fingerprint: str | None = None,
        parallel: Parallel | None = None,
    ) -> Self:
        """Create a run directory with everything known at the start.

        `config_yaml` is written unchanged: the caller has removed secrets, see `redact.without_secrets`. `summary`
        needs `lr` and `batch_size`. `argv` should be `guest.argv()`. Raises RunError or StorageError, and then leaves
        no directory behind.
        """
        if summary.lr is None or summary.batch_size is None:
            raise ValueError("a run's name needs lr and batch_size")
        created = clock.now()
        name = layout.run_name(created, summary.lmbda, summary.lr, summary.batch_size)
        path = create_run_directory(base_dir, name)
        lock = None
        try:
            lock = DirectoryLock(path)
            record = RunRecord(
                id=uuid.uuid4().hex,
                name=path.name,
                kind=kind,
                created=clock.to_text(created),
                heartbeat_seconds=heartbeat_seconds,
                epochs=epochs,
                config=summary,
                sweep=sweep,
                settings_hash=settings_hash,
                detector_fingerprint=detector_fingerprint,
                parallel=parallel,
            )
            return cls(path, lock, record, argv, created, config_yaml)
        except BaseException:
            if lock is not None:
                lock.release()
            shutil.rmtree(path, ignore_errors=True)
            raise

    @classmethod
    def resume(
        cls,
        run_dir: Path,
        *,
        argv: Sequence[str],
        epochs: int | None = None,
        heartbeat_seconds: float = 10.0,
        settings_hash: str | None = None,
        detector_fingerprint: str | None = None,
        parallel: Parallel | None = None,
    ) -> Self:
        """Continue a run in its directory; an older run gets the missing hash and fingerprint.

        Raises RunError if it is running, is not a run, or cannot be written to.
        """
        refuse_running(run_dir, read_record(run_dir))
        lock = DirectoryLock(run_dir)
        before = None
        try:
            # Read again: another process may have resumed, and even ended, before the lock was taken.
            found = read_record(run_dir)
            # On a share without locks, and with clocks that differ, this is what protects a live run.
            if found.host != host_name() and beats_by_the_disk(run_dir, found, lock.path):
                raise _is_running(run_dir, found)
            before = found
            now = clock.now()
            record = replace(
                before,
                heartbeat_seconds=heartbeat_seconds,
                epochs=epochs or before.epochs,
                last=_last_line(run_dir) or before.last,  # a killed process may not have noted it
                ended=None,
                exit_reason=None,
                exit_code=None,
                resumed=(*before.resumed, clock.to_text(now)),
                seconds_before=trained_seconds(before),
                seconds=None,
                settings_hash=before.settings_hash or settings_hash,
                detector_fingerprint=before.detector_fingerprint or detector_fingerprint,
                parallel=parallel,
            )
            _remove_stop(run_dir)
            remove_temporaries(run_dir)
            return cls(run_dir, lock, record, argv, now, None)
        except BaseException:
            if before is not None:  # the run is what it was
                with contextlib.suppress(StorageError):
                    write_json(run_dir / layout.RUN_JSON, record_to_dict(before))
            lock.release()
            raise

    def __init__(
        self,
        path: Path,
        lock: DirectoryLock,
        record: RunRecord,
        argv: Sequence[str],
        start: datetime,
        config_yaml: str | None,
    ) -> None:
        """Use `create` or `resume` instead."""
        self.path = path
        self.log_path = _unused(path / layout.log_name(start))
        self._redactor = Redactor(os.environ, argv)
        self._writing = threading.RLock()  # reentrant: a signal handler may call `end` during a write
        self._noting = threading.RLock()  # the thread that trains and the one that writes its files both note facts
        self._ended = threading.Event()
        self._lock = lock
        self._began = time.monotonic()
        pid, pid_created = own_process()
        self._record = replace(
            record,
            config=ConfigSummary(**self._redactor.value(vars(record.config))),
            pid=pid,
            pid_created=pid_created,
            pid_start=process_start(pid),
            host=host_name(),
            started=clock.to_text(start),
        )
        note_job(path)
        self._write_record()
        if config_yaml is not None:
            write_text(path / layout.CONFIG_USED, config_yaml)
            commit = provenance.write_environment(path, self._redactor, record.parallel)
        else:
            commit = provenance.describe_commit()
        shown = self._redactor.arguments(argv)
        commands.append_start(path, shown, self._redactor.text(os.getcwd()), start, commit)
        self._metrics = MetricsWriter(path / layout.METRICS)
        self._heart = threading.Thread(target=self._beat, name="fpnkit heartbeat", daemon=True)
        self._heart.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended.is_set():
            return
        if error is None:
            self.end("finished", EXIT_FINISHED)
        else:
            text = str(error).splitlines()
            self.end(f"{type(error).__name__}: {text[0]}" if text else type(error).__name__, EXIT_CRASHED)

    @property
    def record(self) -> RunRecord:
        """The content of run.json, now or at the next heartbeat."""
        return self._record

    @property
    def seconds(self) -> float:
        """For which all its processes have trained it so far; a clock that is set changes nothing."""
        return self._record.seconds_before + time.monotonic() - self._began

    def redact(self, text: str) -> str:
        """The text without this process's secrets, for other files in the directory."""
        return self._redactor.text(text)

    def metric(self, line: MetricsLine) -> None:
        """Append to metrics.jsonl at once. Raises StorageError."""
        self._metrics.append(line)
        self._note(last=line.to_dict())

    def progress(self, epoch: int, step: int) -> None:
        """Record progress; a new epoch is written immediately, a step with the next heartbeat."""
        new_epoch = epoch != self._record.epoch
        self._note(epoch=epoch, step=step)
        if new_epoch:
            self._metrics.sync()
            self._note(size_bytes=directory_size(self.path))
            self._try_to_write()

    def best(
        self, *, epoch: int, loss: float, file: str, metrics: Mapping[str, Any], model_hash: str | None = None
    ) -> None:
        """Record a new best checkpoint, after its file exists."""
        self._note(best=Best(epoch, loss, file, dict(metrics), model_hash))
        self._try_to_write()

    def stop_requested(self) -> bool:
        """Whether there is a file STOP in the directory."""
        return (self.path / layout.STOP).exists()

    def end(self, exit_reason: str, exit_code: int) -> None:
        """Write the exit record: code 0 is finished, 130 stopped, any other crashed. Only the first call counts.

        Does not raise for a full disk, so it can be used in any `finally`.
        """
        if self._ended.is_set():
            return
        self._ended.set()
        self._heart.join()
        end, spent = clock.now(), timedelta(seconds=time.monotonic() - self._began)
        reason = self._redactor.text(exit_reason)
        self._note(
            ended=clock.to_text(end),
            exit_reason=reason,
            exit_code=exit_code,
            size_bytes=directory_size(self.path),
        )
        self._try_to_write()
        try:
            commands.append_end(self.path, end, spent, reason, exit_code)
        except StorageError as error:
            _log.warning("%s", error, extra={"kind": "storage"})
        self._metrics.close()
        self._lock.release()

    def _note(self, **facts: Any) -> None:
        with self._noting:
            self._record = replace(self._record, **facts)

    def _beat(self) -> None:
        while not self._ended.wait(self._record.heartbeat_seconds):
            self._try_to_write()

    def _try_to_write(self) -> None:
        """Ignore a full disk, which may have room again later; training does not depend on this file."""
        try:
            self._write_record()
        except StorageError as error:
            _log.warning("%s", error, extra={"kind": "storage"})

    def _write_record(self) -> None:
        with self._writing:
            spent = round(time.monotonic() - self._began, 3)
            record = replace(self._record, heartbeat=clock.to_text(clock.now()), seconds=spent)
            write_json(self.path / layout.RUN_JSON, record_to_dict(record))


class UnwrittenRun:
    """A run in a process that leaves it to another one to write; see `RunWriter`."""

    path = Path()
    record = RunRecord(id="", name="", kind="", created="")
    seconds = 0.0

    def metric(self, line: MetricsLine) -> None:
        """Nothing."""

    def progress(self, epoch: int, step: int) -> None:
        """Nothing."""

    def best(
        self, *, epoch: int, loss: float, file: str, metrics: Mapping[str, Any], model_hash: str | None = None
    ) -> None:
        """Nothing."""

    def stop_requested(self) -> bool:
        """The other one looks."""
        return False


AnyRun = RunWriter | UnwrittenRun


def refuse_running(run_dir: Path, record: RunRecord) -> None:
    """Raise RunError if the run is being trained, or is to be by another job than ours."""
    status = status_of(run_dir, record)
    if status.word == "queued" and surrounding_job() != read_job(run_dir):
        raise RunError(f"{run_dir}: is queued ({status.reason}); cancel that first")
    if status.word == "running":
        raise _is_running(run_dir, record)


def _is_running(run_dir: Path, record: RunRecord) -> RunError:
    return RunError(f"{run_dir}: is running as process {record.pid} on {record.host} since {record.started}")


def _last_line(run_dir: Path) -> dict[str, Any] | None:
    lines = read_metrics(run_dir / layout.METRICS)
    return lines[-1].to_dict() if lines else None


def _unused(path: Path) -> Path:
    """The path, with a number if two processes started in the same second."""
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}_{number}")
    return candidate


def _remove_stop(run_dir: Path) -> None:
    path = run_dir / layout.STOP
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
