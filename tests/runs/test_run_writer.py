import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fpnkit.errors import RunError
from fpnkit.foundation.files import write_json
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import Best, read_record, record_to_dict
from fpnkit.runs.status import RunStatus, run_status
from fpnkit.runs.writer import RunWriter
from tests.support import ROOT
from tests.support.fake_trainer import SUMMARY, line
from tests.support.run_processes import FAKE_TRAINER, python, until, wait_for


def refusal(run_dir):
    with pytest.raises(RunError) as error:
        RunWriter.resume(run_dir, argv=["train"])
    return str(error.value)


def test_a_new_run_has_all_its_first_files(new_run):
    run = new_run(config_yaml="task: fpn_compression\nseed: 3\n")
    found = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert found == {
        ".lock",
        "run.json",
        "config_used.yaml",
        "command_args.txt",
        "metrics.jsonl",
        "env/git.json",
        "env/diff.patch",
        "env/packages.txt",
        "env/system.json",
    }
    assert (run.path / "config_used.yaml").read_text() == "task: fpn_compression\nseed: 3\n"
    assert run.log_path.name == f"train_{run.path.name[4:19]}.log"
    assert run.path.name.endswith("_lambda_2.50e-04_lr_5.00e-05_bs_4")


def test_the_record_says_who_trains_what(new_run):
    run = new_run(sweep="s1", heartbeat_seconds=7.0)
    record = read_record(run.path)
    assert replace(record, heartbeat=None, seconds=None) == run.record
    assert (record.name, record.kind, record.pid, record.epochs) == (run.path.name, "fpn_compression", os.getpid(), 5)
    assert (record.config, record.sweep, record.heartbeat_seconds) == (SUMMARY, "s1", 7.0)
    assert record.created == record.started
    assert run_status(record) == RunStatus("running")


def test_a_best_model_that_another_thread_notes_is_not_lost_among_the_steps(new_run):
    run = new_run(heartbeat_seconds=60.0)
    stop, found = threading.Event(), []

    def note():
        for epoch in range(1, 31):
            run.best(epoch=epoch, loss=0.5, file="best_model.pth", metrics={})
            found.append(run.record.best.epoch)
        stop.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(target=note)
        thread.start()
        step = 0
        while not stop.is_set():
            step += 1
            run.progress(0, step)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert found == list(range(1, 31))
    assert run.record.best.epoch == 30
    assert run.record.step == step


def test_progress_best_and_last_line_are_in_the_record(new_run):
    run = new_run()
    run.metric(line(20, epoch=1))
    run.best(epoch=1, loss=0.5, file="best_model.pth", metrics={"bpp_estimated": 0.25})
    run.progress(1, 20)
    record = read_record(run.path)
    assert (record.epoch, record.step, record.last) == (1, 20, read_metrics(run.path / "metrics.jsonl")[0].to_dict())
    assert record.best == Best(1, 0.5, "best_model.pth", {"bpp_estimated": 0.25})
    assert record.size_bytes >= (run.path / "metrics.jsonl").stat().st_size


def test_a_resume_notes_the_last_line_that_a_killed_process_did_not(base, trainer):
    process, path = trainer("create", base, "--lines", 3, "--heartbeat", 60)
    wait_for(process, "line 2")
    process.kill()
    process.wait()
    assert read_record(path).last is None
    RunWriter.resume(path, argv=["train"]).end("finished", 0)
    assert read_record(path).last == read_metrics(path / "metrics.jsonl")[2].to_dict()


def test_after_the_end_nothing_is_measured_any_more(new_run):
    run = new_run()
    run.end("finished", 0)
    with pytest.raises(OSError):
        run.metric(line(1))
    assert (run.path / "metrics.jsonl").read_bytes() == b""


@pytest.mark.parametrize(("reason", "code", "word"), [("finished", 0, "finished"), ("diverged", 1, "crashed")])
def test_the_end_is_in_the_record_and_in_the_command_file(new_run, reason, code, word):
    run = new_run()
    run.end(reason, code)
    run.end("only the first counts", 99)
    assert run_status(read_record(run.path)).word == word
    lines = (run.path / "command_args.txt").read_text().splitlines()
    assert [text.partition(": ")[0] for text in lines] == [
        "start",
        "working directory",
        "command",
        "commit",
        "end",
        "wall time",
        "exit",
    ]
    assert lines[1:3] == [f"working directory: {os.getcwd()}", "command: python -m fpnkit.train"]
    assert lines[-1] == f"exit: {reason} (code {code})"


def test_a_context_that_is_left_by_an_error_is_crashed_with_its_first_line(new_run):
    run = new_run()
    with pytest.raises(ValueError), run:
        raise ValueError("no such level\nmore")
    assert run_status(read_record(run.path)) == RunStatus("crashed", "ValueError: no such level")


def test_a_context_that_is_left_normally_is_finished_unless_it_ended_otherwise(new_run):
    with new_run() as first:
        pass
    with new_run() as second:
        second.end("SIGINT", 130)
    assert run_status(read_record(first.path)) == RunStatus("finished")
    assert run_status(read_record(second.path)) == RunStatus("stopped", "SIGINT")


def test_the_heartbeat_goes_on_while_the_trainer_does_nothing(new_run):
    run = new_run(heartbeat_seconds=0.05)
    first = read_record(run.path).heartbeat
    until(lambda: read_record(run.path).heartbeat > first)
    run.end("finished", 0)
    last = (run.path / "run.json").read_bytes()
    time.sleep(0.2)
    assert (run.path / "run.json").read_bytes() == last


def test_readers_never_meet_a_half_written_record(base, trainer):
    _, path = trainer("create", base, "--heartbeat", 0.001)
    for _ in range(500):
        assert read_record(path).name == path.name


def test_the_stop_file_asks_to_stop_and_a_resume_removes_it(base, trainer):
    process, path = trainer("create", base)
    (path / "STOP").touch()
    assert process.wait(30) == 0
    assert run_status(read_record(path)) == RunStatus("stopped", "STOP file")
    trainer("resume", path)
    assert not (path / "STOP").exists()


def test_resume_goes_on_in_the_same_files_and_adds_a_log_of_its_own(base, trainer):
    process, path = trainer("create", base, "--lines", 3)
    wait_for(process, "line 2")
    process.kill()
    process.wait()
    before = read_record(path)
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"torn')
    (path / ".last.pth.1.2.tmp").touch()
    run = RunWriter.resume(path, argv=["python", "again"], epochs=9)
    run.log_path.touch()
    run.metric(line(3))
    run.end("finished", 0)
    after = read_record(path)
    assert (after.id, after.created, after.epochs, len(after.resumed)) == (before.id, before.created, 9, 1)
    assert after.started == after.resumed[0]
    assert after.started > before.started
    assert [item.step for item in read_metrics(path / "metrics.jsonl")] == [0, 1, 2, 3]
    assert not (path / ".last.pth.1.2.tmp").exists()
    commands = [text for text in (path / "command_args.txt").read_text().splitlines() if text.startswith("command")]
    assert len(commands) == 2
    assert commands[1] == "command: python again"
    assert RunWriter.resume(path, argv=[]).end("finished", 0) is None


def test_a_resumed_run_gets_what_it_lacks_of_hash_and_fingerprint(new_run):
    run = new_run(settings_hash="a" * 16)
    run.end("stopped", 130)
    RunWriter.resume(run.path, argv=[], settings_hash="b" * 16, detector_fingerprint="c" * 64).end("finished", 0)
    record = read_record(run.path)
    assert (record.settings_hash, record.detector_fingerprint) == ("a" * 16, "c" * 64)


def test_a_log_that_is_there_already_is_not_written_on(new_run):
    run = new_run()
    run.end("finished", 0)
    for second in range(60):  # whichever second the resume falls into
        moment = datetime.now() + timedelta(seconds=second)
        (run.path / f"train_{moment:%Y%m%d_%H%M%S}.log").write_text("of another process")
    again = RunWriter.resume(run.path, argv=[])
    again.end("finished", 0)
    assert re.fullmatch(r"train_\d{8}_\d{6}_1.log", again.log_path.name)
    assert not again.log_path.exists()


def test_a_running_run_is_refused(base, trainer, new_run):
    process, path = trainer("create", base)
    record = read_record(path)
    assert refusal(path) == f"{path}: is running as process {process.pid} on {record.host} since {record.started}"
    own = new_run()
    assert f"is running as process {os.getpid()} on" in refusal(own.path)


def test_a_live_trainer_is_refused_by_its_lock_though_its_record_was_lost(base, trainer):
    _, path = trainer("create", base, "--heartbeat", 1000)
    record = record_to_dict(read_record(path))
    write_json(path / "run.json", record | {"exit_code": 0, "exit_reason": "finished"})
    assert refusal(path) == f"{path}: another process is training this run"


def test_of_many_resumes_at_once_exactly_one_wins(base, trainer):
    process, path = trainer("create", base)
    process.kill()
    process.wait()
    command = [sys.executable, str(FAKE_TRAINER), "resume", str(path), "--lines", "1"]
    rivals = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    winners = []
    try:
        until(lambda: sum(rival.poll() is not None for rival in rivals) >= 5)
        winners = [rival for rival in rivals if rival.poll() is None]
        assert len(winners) == 1
        assert read_record(path).pid == winners[0].pid
        assert len(read_record(path).resumed) == 1
    finally:
        for rival in rivals:
            rival.kill()
            _, errors = rival.communicate()
            assert rival in winners or "RunError" in errors


def test_a_worker_that_outlives_its_killed_trainer_does_not_hold_the_lock(base, trainer):
    process, path = trainer("create", base, "--fork", start_new_session=True)
    wait_for(process, "line 0")
    process.kill()
    process.wait()
    run = RunWriter.resume(path, argv=[])
    run.end("finished", 0)
    os.killpg(process.pid, signal.SIGKILL)  # the worker is still there: else this fails
    assert run_status(read_record(path)).word == "finished"


def test_what_is_no_run_is_not_resumed(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}/run.json: does not exist"
    assert os.listdir(tmp_path) == []


_CREATE_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from tests.support.fake_trainer import SUMMARY
from fpnkit.errors import StorageError
from fpnkit.runs.writer import RunWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    RunWriter.create(Path(sys.argv[1]), kind="detection", config_yaml="x" * 5000, summary=SUMMARY, epochs=1, argv=[])
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize(("limit", "file"), [(100, "run.json"), (3000, "config_used.yaml")])
def test_a_full_disk_at_the_start_leaves_no_directory(base, limit, file):
    done = python(_CREATE_UNDER_A_LIMIT, base, limit, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{base}/run_")
    assert done.stdout.endswith(f"_bs_4/{file}: could not be written: File too large\n")
    assert os.listdir(base) == []


def test_a_full_disk_does_not_end_the_training_and_the_heartbeat_comes_back(base):
    code = """
import resource, sys, time
from pathlib import Path
from tests.support.fake_trainer import SUMMARY, line
from fpnkit.runs.writer import RunWriter
from fpnkit.runs.record import read_record
run = RunWriter.create(Path(sys.argv[1]), kind="detection", config_yaml="", summary=SUMMARY, epochs=1, argv=[],
                       heartbeat_seconds=0.02)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
time.sleep(0.1)
frozen = read_record(run.path).heartbeat
time.sleep(0.1)
run.progress(1, 1)
run.best(epoch=1, loss=1.0, file="best_model.pth", metrics={})
assert read_record(run.path).heartbeat == frozen and read_record(run.path).epoch == 0
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
while read_record(run.path).epoch != 1:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
run.end("finished", 0)
print(run.path)
"""
    done = python(code, base, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    path = done.stdout.strip()
    assert f"{path}/run.json: could not be written: File too large" in done.stderr
    assert read_record(Path(path)).best.loss == 1.0


def test_a_resume_that_fails_leaves_the_record_as_it_was(base, trainer):
    process, path = trainer("create", base, "--end", 130, "SIGINT")
    assert process.wait(30) == 0
    code = """
import sys
from pathlib import Path
from fpnkit.errors import StorageError
from fpnkit.runs.writer import RunWriter
try:
    RunWriter.resume(Path(sys.argv[1]), argv=[])
except StorageError as error:
    print(error)
"""
    commands = path / "command_args.txt"
    commands.unlink()
    commands.mkdir()
    before = (path / "run.json").read_bytes()
    assert python(code, path).stdout == f"{commands}: could not be written: Is a directory\n"
    assert (path / "run.json").read_bytes() == before


def test_a_name_needs_lr_and_batch_size(base, new_run):
    with pytest.raises(ValueError) as error:
        new_run(summary=SUMMARY.__class__())
    assert str(error.value) == "a run's name needs lr and batch_size"
    assert not base.exists()
