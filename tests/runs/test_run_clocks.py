"""Clocks that jump or differ: of the machine that trains, and of two that share a disk."""

import errno
import fcntl
import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import write_json
from fpnkit.runs.record import read_record, record_to_dict, trained_seconds
from fpnkit.runs.status import RunStatus, status_of
from fpnkit.runs.store import list_runs
from fpnkit.runs.writer import RunWriter
from tests.support.clocks import Clock, on_host
from tests.support.run_processes import FAKE_TRAINER, until


@contextmanager
def training(
    base: Path, clock: Clock, host: str | None, *arguments: str, zone: str = "UTC"
) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A live trainer with this clock, and its run."""
    command = [sys.executable, str(FAKE_TRAINER), "create", str(base), *arguments]
    command = command if host is None else on_host(host, command)
    with subprocess.Popen(command, env={**clock.environment, "TZ": zone}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            path = process.stdout.readline().rstrip()
            assert path, "it ended before it had a directory"
            yield process, Path(path)
        finally:
            process.kill()


def status(run: Path) -> RunStatus:
    return status_of(run, read_record(run))


def is_ahead(run: Path, hours: float) -> bool:
    """Its heartbeat, of our clock."""
    heartbeat = clock.from_text(read_record(run).heartbeat)
    return heartbeat is not None and abs(heartbeat - clock.now() - timedelta(hours=hours)) < timedelta(minutes=5)


def a_minute_passes(run: Path) -> None:
    """Without a sign of life."""
    file = run / "run.json"
    os.utime(file, (file.stat().st_mtime - 60,) * 2)


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_a_run_of_a_host_whose_clock_differs_lives_while_it_writes_and_not_longer(
    base: Path, tmp_path: Path, hours: float
) -> None:
    there = Clock(tmp_path / "clock")
    there.set(hours)
    with training(base, there, "gpu7", "--heartbeat", "10") as (process, path):
        record = read_record(path)
        assert is_ahead(path, hours)
        assert process.poll() is None
        assert (record.host, status(path)) == ("gpu7", RunStatus("running", "on gpu7, whose clock differs"))
        assert [run.status for run in list_runs(base)] == ["running"]
        process.kill()
        process.wait()
    a_minute_passes(path)
    assert status(path).word == "stale"
    RunWriter.resume(path, argv=["train"]).end("finished", 0)


def test_a_live_run_elsewhere_is_not_resumed_even_without_locks_and_with_our_clock_wrong(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with training(base, Clock(tmp_path / "clock"), "gpu7", "--heartbeat", "10") as (process, path):
        monkeypatch.setattr(fcntl, "lockf", no_locks)
        right = clock.now
        monkeypatch.setattr(clock, "now", lambda: right() + timedelta(hours=1))
        before = read_record(path)
        assert status(path).word == "stale"  # nothing that can be read says otherwise
        with pytest.raises(RunError) as error:
            RunWriter.resume(path, argv=["train"])
        told = f"{path}: is running as process {before.pid} on gpu7 since {before.started}"
        assert (str(error.value), read_record(path).resumed) == (told, ())
        process.kill()
        process.wait()
        a_minute_passes(path)
        RunWriter.resume(path, argv=["train"]).end("finished", 0)


def test_a_copy_of_a_run_of_another_host_does_not_live_because_its_files_are_new(base: Path, new_run: Any) -> None:
    run = new_run()
    old = clock.to_text(clock.now() - timedelta(days=3))
    facts = record_to_dict(run.record) | {"host": "gpu7", "heartbeat": old}
    run.end("finished", 0)
    write_json(run.path / "run.json", facts)
    assert status(run.path) == RunStatus("stale", f"no sign of life from gpu7 since {old}")


def test_a_clock_that_is_set_during_a_training_changes_no_duration_and_no_status(base: Path, tmp_path: Path) -> None:
    there = Clock(tmp_path / "clock")
    began = time.monotonic()
    with training(base, there, None, "--heartbeat", "0.05") as (process, path):
        for hours in (1.0, -1.0):
            there.set(hours)
            until(functools.partial(is_ahead, path, hours))
            assert process.poll() is None
            assert status(path) == RunStatus("running")
        (path / "STOP").touch()
        process.wait()
    spent = time.monotonic() - began
    record = read_record(path)
    assert 0 < trained_seconds(record) <= spent
    (told,) = (line for line in (path / "command_args.txt").read_text().splitlines() if line.startswith("wall time: "))
    assert told.startswith("wall time: 0:00:")
    assert list_runs(base)[0].duration_seconds == trained_seconds(record)
    run = RunWriter.resume(path, argv=["train"])
    assert trained_seconds(record) <= run.seconds < trained_seconds(record) + 60
    run.end("finished", 0)


def test_a_run_of_another_zone_lives_and_has_lasted_as_long(base: Path, tmp_path: Path) -> None:
    there = Clock(tmp_path / "clock")
    with training(base, there, "gpu7", "--heartbeat", "10", zone="Pacific/Kiritimati") as (_, path):
        record = read_record(path)
        assert record.created.endswith("+14:00")
        assert status(path) == RunStatus("running", "on gpu7")
        assert list_runs(base)[0].created == clock.from_text(record.created)
        assert 0 <= trained_seconds(record) < 60
