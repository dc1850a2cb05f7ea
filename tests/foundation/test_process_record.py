import json
import os
from pathlib import Path

import pytest

from fpnkit.foundation.process_record import VARIABLE, Caution, ProcessRecord, Reporter, read_process_record


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
    assert read_process_record(file) == expected
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
