import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fpnkit.foundation import clock, process_record
from fpnkit.foundation.process_record import (
    VARIABLE,
    Caution,
    ProcessRecord,
    Reporter,
    at_work,
    read_process_record,
    record_environment,
)
from fpnkit.foundation.progress import Progress
from fpnkit.foundation.steps import counted_by
from tests.support.panel_tools import Clock


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "record"))
    return tmp_path / "record"


def test_what_was_told_is_read(file: Path) -> None:
    report = Reporter()
    assert read_process_record(file) == ProcessRecord(pid=os.getpid())
    report.tell(run="/runs/run_1", phase="training", parameters=5)
    for _ in range(2):
        report.warn("collapse", "too small")
    report.end("failed", "diverged")
    report.end("finished", "later")  # the first counts
    warnings = (Caution("collapse", "too small"),)
    expected = ProcessRecord("training", os.getpid(), "/runs/run_1", None, 5, "failed", "diverged", warnings)
    found = read_process_record(file)
    assert found == replace(expected, since=found.since)
    assert clock.from_text(found.since) is not None
    assert [path.name for path in file.parent.iterdir()] == ["record"]


def test_what_a_process_starts_does_not_write_into_its_record(file: Path) -> None:
    first, second = Reporter(), Reporter()
    first.tell(sweep="s")
    second.tell(sweep="t")
    assert read_process_record(file).sweep == "s"
    assert VARIABLE not in os.environ


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    report = Reporter()
    report.tell(sweep="s")
    assert report.record.sweep == "s"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_ends_nothing(file: Path) -> None:
    report = Reporter()
    file.unlink()
    file.parent.rmdir()
    report.tell(sweep="s")
    assert read_process_record(file) == ProcessRecord()


def test_secrets_are_in_no_message_but_paths_stay(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "hunter2secret")
    report = Reporter()
    report.tell(run="/runs/hunter2secret")
    report.warn("other", "with hunter2secret")
    report.end("failed", "of hunter2secret")
    record = read_process_record(file)
    assert (record.run, record.reason, record.warnings[0].text) == ("/runs/hunter2secret", "of ***", "with ***")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"schema_version": 2, "sweep": "s"}), '{"schema_version": 1, "phase": "odd"}']
)
def test_what_cannot_be_read_tells_nothing(text: str, file: Path) -> None:
    file.write_text(text)
    assert read_process_record(file) == ProcessRecord()


def test_keys_of_later_versions_are_ignored(file: Path) -> None:
    file.write_text(json.dumps({"schema_version": 1, "sweep": "s", "queue": "q"}))
    assert read_process_record(file) == ProcessRecord(sweep="s")


def test_what_is_counted_is_recorded_once_a_second_until_it_is_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = Clock()
    monkeypatch.setattr(process_record.time, "monotonic", seconds)
    report, done = Reporter(), list[int]()
    with counted_by(report.count), Progress("features", 100) as counted:
        begun = read_process_record(file).doing
        for _ in range(40):
            seconds.seconds += 0.1
            counted.step()
            doing = read_process_record(file).doing
            assert doing is not None
            done.append(doing.done)
    assert begun is not None
    assert (begun.what, begun.done, begun.of, begun.since) == ("features", 0, 100, doing.since)
    assert len(set(done)) == 5
    assert read_process_record(file).doing is None
    with Progress("other", 5):  # nobody listens
        assert read_process_record(file).doing is None


def test_who_waits_for_a_command_names_its_record(file: Path, tmp_path: Path) -> None:
    report = Reporter()
    code = (
        "from fpnkit.foundation.process_record import *; import sys\n"
        "Reporter().tell(phase='evaluating'); print('told', flush=True); sys.stdin.read()"
    )
    report.tell(phase="training", inner=str(tmp_path / "inner"))
    assert at_work(read_process_record(file)).phase == "training"  # it has not begun
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=record_environment(tmp_path / "inner"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"told\n"
    assert at_work(read_process_record(file)).phase == "evaluating"
    process.communicate()
    (tmp_path / "inner").unlink()
    assert at_work(read_process_record(file)).phase == "training"
