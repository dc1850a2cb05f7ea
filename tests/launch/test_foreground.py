"""Processes that somebody waits for, and what a signal does to them: real signals, real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fpnkit.foundation.process_record import Reporter
from fpnkit.launch.foreground import Foreground

# Waits in front of a process that, as a trainer does, ends after a first signal and at once after a second.
WAITING = """
import sys
from fpnkit.launch.foreground import Foreground
with Foreground() as front:
    code, _ = front.run([sys.executable, "-uc", sys.argv[1]])
    print("ended", code, front.asked, flush=True)
"""
BESIDE = """
import sys
from fpnkit.launch.foreground import Foreground
with Foreground() as front:
    for name in "ab":
        front.start(name, [sys.executable, "-uc", sys.argv[1]], label=f"[{name}] ", environment={"NAME": name})
    while front.running:
        ended = front.wait()
        print("ended", ended.key, ended.code, front.asked, flush=True)
"""
CHILD = """
import os, signal, time
def first(number, frame):
    signal.signal(number, signal.SIG_DFL)
    print("asked by", signal.Signals(number).name, flush=True)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, first)
print("session of its own", os.getsid(0) == os.getpid(), flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def waiting(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", getattr(request, "param", WAITING), CHILD]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    yield process
    process.kill()
    assert process.stdout is not None
    process.stdout.close()
    process.wait()


@pytest.mark.usefixtures("heard_hang_ups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_each_signal_is_passed_on_once_and_the_second_ends_the_process(
    number: signal.Signals, waiting: "subprocess.Popen[str]"
) -> None:
    assert waiting.stdout is not None
    # In a session of its own, for Ctrl-C reaches all of the terminal's: it would come twice, and end it at once.
    assert waiting.stdout.readline() == "session of its own True\n"
    os.killpg(waiting.pid, number)
    assert waiting.stdout.readline() == f"asked by {number.name}\n"
    os.killpg(waiting.pid, number)
    assert waiting.stdout.readline() == f"ended {-number} {number.name}\n"
    assert waiting.wait(timeout=30) == 0


@pytest.mark.parametrize("waiting", [BESIDE], indirect=True)
def test_of_processes_side_by_side_each_gets_each_signal_once(waiting: "subprocess.Popen[str]") -> None:
    assert waiting.stdout is not None

    def next_two() -> list[str]:
        assert waiting.stdout is not None
        return sorted(waiting.stdout.readline() for _ in "ab")

    assert next_two() == [f"[{name}] session of its own True\n" for name in "ab"]
    os.killpg(waiting.pid, signal.SIGINT)
    assert next_two() == [f"[{name}] asked by SIGINT\n" for name in "ab"]
    os.killpg(waiting.pid, signal.SIGINT)
    assert next_two() == [f"ended {name} -2 SIGINT\n" for name in "ab"]
    assert waiting.wait(timeout=30) == 0


def test_lines_of_processes_side_by_side_come_whole_and_labeled(capfd: pytest.CaptureFixture[str]) -> None:
    child = "import os, sys\nfor n in range(200): print(os.environ['NAME'] * 500, file=sys.stderr if n % 2 else None)"
    with Foreground() as front:
        for name in "ab":
            argv = [sys.executable, "-c", child]
            front.start(name, argv, label=f"[{name}] ", environment={"NAME": name})
        codes = {ended.key: ended.code for ended in (front.wait(), front.wait())}
    assert (codes, front.running) == ({"a": 0, "b": 0}, 0)
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines) == [f"[{name}] {name * 500}" for name in "ab" for _ in range(200)]


def test_all_can_be_asked_to_stop() -> None:
    with Foreground() as front:
        for name in "ab":
            front.start(name, [sys.executable, "-c", "import time; time.sleep(60)"])
        front.stop()
        assert sorted((str(ended.key), ended.code) for ended in (front.wait(), front.wait())) == [
            ("a", -signal.SIGTERM),
            ("b", -signal.SIGTERM),
        ]
    assert front.asked is None


def test_whoever_looks_finds_the_record_of_what_runs() -> None:
    told = list[str | None]()
    report = Reporter(write=lambda record: told.append(record.inner))
    child = "from fpnkit.foundation.process_record import Reporter; Reporter().tell(phase='evaluating')"
    with Foreground(report=report) as front:
        code, record = front.run([sys.executable, "-c", child])
    assert (code, record.phase) == (0, "evaluating")
    path, after = told[-2:]
    assert path is not None
    assert Path(path).name == "record.json"
    assert after is None
