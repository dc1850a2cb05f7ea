"""What three years on a shared disk do to runs, with real processes and real signals."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from fpnkit.foundation import clock
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from fpnkit.runs.status import run_status
from fpnkit.runs.store import list_runs, run_info
from tests.support import ROOT, warm
from tests.support.run_dirs import write_run
from tests.support.run_processes import python, until


def edit(path, **facts):
    data = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(data | facts))


def shifted(text, **offset):
    return clock.to_text(clock.from_text(text) + timedelta(**offset))


@pytest.mark.parametrize("offset", [{"hours": -3}, {"seconds": 30}, {"days": 4000}])
def test_a_live_run_stays_running_and_a_dead_one_killed_when_the_clock_is_set(base, trainer, offset):
    process, path = trainer("create", base, "--heartbeat", 60)
    record = read_record(path)
    # Setting the clock back by an hour makes every time that was noted before an hour too late, and so on.
    times = {key: shifted(getattr(record, key), **offset) for key in ("pid_created", "heartbeat", "started", "created")}
    edit(path, **times)
    assert run_status(read_record(path)).word == "running"
    assert run_info(path).duration_seconds >= 0
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run_status(read_record(path)).word == "killed"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs the boot and ticks of Linux' /proc")
def test_a_pid_that_was_given_out_again_is_not_running_even_with_the_same_creation_time(base, trainer):
    _, path = trainer("create", base, "--heartbeat", 60)
    boot, _, tick = read_record(path).pid_start.partition("/")
    for start in (f"{boot}/{int(tick) + 1}", f"another-boot/{tick}"):
        edit(path, pid_start=start)
        assert run_status(read_record(path)).word == "killed"


def test_a_record_of_an_earlier_version_without_the_tick_is_judged_by_the_creation_time(base, trainer):
    _, path = trainer("create", base, "--heartbeat", 60)
    edit(path, pid_start=None)
    assert run_status(read_record(path)).word == "running"
    edit(path, pid_created=shifted(read_record(path).pid_created, minutes=1))
    assert run_status(read_record(path)).word == "killed"


def test_trainer_and_reader_in_different_time_zones_agree(base, trainer):
    code = """
import json, sys
from pathlib import Path
from fpnkit.runs.store import list_runs
rows = list_runs(Path(sys.argv[1]))
print(json.dumps([[row.name, row.status, row.created.timestamp(), row.duration_seconds] for row in rows]))
"""
    paths = []
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata"):
        _, path = trainer("create", base, "--end", 0, "finished", env=os.environ | {"TZ": zone})
        paths.append(path)
        until(lambda path=path: read_record(path).exit_code == 0)
    _, path = trainer("create", base, env=os.environ | {"TZ": "Europe/London"})
    paths.append(path)
    for zone in ("Asia/Tokyo", "America/St_Johns"):
        rows = json.loads(python(code, base, env=os.environ | {"TZ": zone}).stdout)
        assert [row[0] for row in rows] == [path.name for path in reversed(paths)]
        assert [row[1] for row in rows] == ["running", "finished", "finished", "finished"]
        assert all(abs(time.time() - created) < 60 and 0 <= seconds < 60 for _, _, created, seconds in rows)


def test_runs_copied_in_and_edited_by_hand_are_listed_as_they_are(base, tmp_path):
    write_run(tmp_path / "cluster", "run_a")
    base.mkdir(parents=True)
    subprocess.run(["cp", "-r", tmp_path / "cluster" / "run_a", base / "run_a"], check=True)
    (base / "run_a" / "note.md").write_text("by hand")
    assert [(row.name, row.note) for row in list_runs(base)] == [("run_a", "by hand")]
    with open(base / "run_a" / "note.md", "r+") as file:  # in place: the directory does not change
        file.write("BY")
    assert [row.note for row in list_runs(base)] == ["BY hand"]


class Forks:
    """The trainings of train_forks.py, one after the other."""

    def __init__(self, folder):
        command = [sys.executable, "-m", "tests.support.train_forks", str(folder)]
        self.errors = folder / "stderr.txt"
        with open(self.errors, "w") as errors:
            pipe = subprocess.PIPE
            self.process = warm.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, text=True)
        assert self.read() == ["ready"]

    def read(self):
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        return line.rstrip("\n").split(" ", 1)

    def train(self, what, kill_after=0.0):
        """Run one training, or kill it after so many seconds: (path, told lines, end), as far as it came."""
        self.process.stdin.write(f"{kill_after} {what}\n")
        self.process.stdin.flush()
        path = end = None
        told = []
        while (word := self.read())[0] != "gone":
            if word[0] == "run":
                path = Path(word[1])
            elif word[0] == "line":
                told.append(tuple(word[1].split()))
            else:
                end = word[1]
        return path, told, end

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def assert_every_checkpoint_is_whole(path):
    """And that run.json and last.pth speak of no best model that is not there yet."""
    contents = {file.name: torch.load(file, weights_only=True) for file in path.glob("*.pth")}
    assert all(content["schema_version"] == 1 for content in contents.values())
    best = read_record(path).best
    assert best is None or contents[best.file]["epoch"] == best.epoch
    if "last.pth" in contents and contents["last.pth"]["progress"]["best_epoch"]:
        assert contents["best_model.pth"]["epoch"] >= contents["last.pth"]["progress"]["best_epoch"]


def metrics(path):
    return read_metrics(path / "metrics.jsonl")


def facts(path):
    timing = ("time", "seconds")
    lines = [line.to_dict() for line in metrics(path)]
    lines.sort(key=lambda line: (line["step"], line["split"]))
    return [{key: value for key, value in line.items() if key not in timing} for line in lines]


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_never_costs_a_checkpoint_or_a_metrics_line(tmp_path, kills):
    moments = random.Random(kills)
    forks = Forks(tmp_path)
    try:
        whole, _, end = forks.train("new")
        assert end == "finished", forks.errors.read_text()
        killed, resumes, path, told = 0, 0, None, []
        while killed < kills:
            resumed = path is not None and (path / "last.pth").exists()
            told = told if resumed else []
            resumes += resumed
            seen, lines, end = forks.train(f"resume {path}" if resumed else "new", moments.uniform(0.01, 1.0))
            path = seen or (path if resumed else None)
            if path is None:
                killed += 1
                continue  # before there was a directory
            told += lines
            assert_every_checkpoint_is_whole(path)
            assert set(told) <= {(line.split, str(line.epoch), str(line.step)) for line in metrics(path)}
            if end is None:
                killed += 1
                assert run_info(path).status == "killed"
            else:  # it was through before the kill
                assert run_info(path).status == "finished"
                assert facts(path) == facts(whole)
                path = None
        resumed = path is not None and (path / "last.pth").exists()
        path, _, end = forks.train(f"resume {path}" if resumed else "new")
        assert (end, run_info(path).status) == ("finished", "finished")
        assert facts(path) == facts(whole)
        assert not list(path.glob(".*.tmp"))
    finally:
        forks.close()
    assert {row.status for row in list_runs(tmp_path / "runs")} <= {"finished", "killed", "incomplete"}
    assert resumes > 0 or kills < 10
