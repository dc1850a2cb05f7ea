import dataclasses
import os
import signal
from datetime import timedelta, timezone

import pytest

from fpnkit.foundation import clock
from fpnkit.foundation.processes import own_process, process_lives
from fpnkit.runs.record import RunRecord, read_record
from fpnkit.runs.status import RunStatus, run_status
from tests.support.run_processes import until

NOW = clock.now()


def record(**facts):
    pid, pid_created = own_process()
    here = {"pid": pid, "pid_created": pid_created, "host": os.uname().nodename, "heartbeat": clock.to_text(NOW)}
    return RunRecord("id", "name", "detection", clock.to_text(NOW), **(here | facts))


def ago(seconds):
    return clock.to_text(NOW - timedelta(seconds=seconds))


def test_a_live_process_on_this_host_is_running_however_old_its_heartbeat():
    assert run_status(record(heartbeat=ago(10_000)), now=NOW) == RunStatus("running")


def test_a_process_that_was_killed_is_killed_right_afterwards(base, trainer):
    process, path = trainer("create", base)
    assert run_status(read_record(path)).word == "running"
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: run_status(read_record(path)).word != "running")  # nobody has waited for it: a zombie by now
    assert run_status(read_record(path)) == RunStatus("killed", f"process {process.pid} is gone")
    process.wait()
    assert run_status(read_record(path)) == RunStatus("killed", f"process {process.pid} is gone")


def test_a_stopped_process_is_still_running(base, trainer):
    process, path = trainer("create", base)
    os.kill(process.pid, signal.SIGSTOP)
    assert run_status(read_record(path)).word == "running"


def test_a_reused_pid_is_not_running():
    pid, created = own_process()
    earlier = clock.to_text(clock.from_text(created) - timedelta(minutes=1))
    assert run_status(record(pid_created=earlier), now=NOW) == RunStatus("killed", f"process {pid} is gone")


@pytest.mark.parametrize("created", ["", "yesterday", "9999-12-31T23:59:59", "0001-01-01T00:00:00"])
def test_a_creation_time_that_is_none_is_no_process(created):
    assert not process_lives(os.getpid(), created)


@pytest.mark.parametrize("pid", [-1, 0, 2**31, 2**70])
def test_a_pid_that_cannot_be_is_no_process(pid):
    assert not process_lives(pid, own_process()[1])


@pytest.mark.parametrize("seconds", [0, 29, -29])
def test_on_another_host_a_fresh_heartbeat_is_running(seconds):
    assert run_status(record(host="elsewhere", heartbeat=ago(seconds)), now=NOW) == RunStatus("running", "on elsewhere")


@pytest.mark.parametrize("seconds", [31, 1e6, -31, -1e6])
def test_on_another_host_three_missed_heartbeats_or_one_from_the_future_are_stale(seconds):
    time = ago(seconds)
    assert run_status(record(host="elsewhere", heartbeat=time), now=NOW) == RunStatus(
        "stale", f"no sign of life from elsewhere since {time}"
    )


def test_the_promised_interval_counts_not_a_fixed_one():
    slow = record(host="elsewhere", heartbeat=ago(100), heartbeat_seconds=60.0)
    assert run_status(slow, now=NOW).word == "running"


@pytest.mark.parametrize("hours", [-11, 0, 9])
def test_a_time_zone_does_not_change_the_age_of_a_heartbeat(hours):
    there = (NOW - timedelta(seconds=5)).astimezone(timezone(timedelta(hours=hours)))
    assert run_status(record(host="elsewhere", heartbeat=clock.to_text(there)), now=NOW).word == "running"


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (0, "finished", RunStatus("finished")),
        (0, "early stop", RunStatus("finished", "early stop")),
        (130, "stopped", RunStatus("stopped")),
        (130, "SIGTERM", RunStatus("stopped", "SIGTERM")),
        (1, "diverged", RunStatus("crashed", "diverged")),
        (2, None, RunStatus("crashed")),
    ],
)
def test_the_exit_record_decides_even_while_the_process_lives(code, reason, status):
    assert run_status(record(exit_code=code, exit_reason=reason), now=NOW) == status


def test_without_a_pid_the_heartbeat_decides():
    assert run_status(dataclasses.replace(record(), pid=None), now=NOW).word == "running"
    assert run_status(dataclasses.replace(record(), pid=None, heartbeat=None), now=NOW).word == "stale"
