"""Starting processes that nothing but a request ends, and finding them again: real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fpnkit.errors import FpnkitError, RunError
from fpnkit.foundation.processes import own_process, process_start
from fpnkit.launch.launchers import facts, find, load, look, submit
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.protocol import FOLDER, SWEEP
from fpnkit.launch.stop import stop
from fpnkit.launch.watch import see
from fpnkit.runs.record import read_record
from fpnkit.runs.status import run_status
from tests.support.launch_processes import run_made
from tests.support.run_processes import python, until

Begin = Callable[..., LocalLaunch]


def test_another_process_finds_what_was_started_and_the_run_it_made(base: Path, launch: Begin) -> None:
    launched = launch("create", base, "--token", "hunter2secret")
    run = run_made(launched)
    assert launched.argv[1:] == ("-u", "-m", "tests.support.fake_trainer", "create", str(base), "--token", "***")
    code = (
        "import sys; from pathlib import Path; from fpnkit.launch.launchers import find, look\n"
        "(item,) = find(Path(sys.argv[1])); seen = look(item)\n"
        "print(item.pid, item.lives(), seen.running, seen.run, seen.failure, 'torch' in sys.modules)"
    )
    assert python(code, base).stdout == f"{launched.pid} True True {run} None False\n"
    until(lambda: look(launched).output[-1] == "line 2")
    assert look(launched).output == (str(run), "line 0", "line 1", "line 2")
    assert "hunter2secret" not in launched.file.read_text()


@pytest.mark.parametrize("death", ["exit", "kill", "interrupt"])
def test_it_survives_the_death_of_who_started_it(death: str, base: Path, launch: Begin) -> None:
    code = (
        "import sys, time; from pathlib import Path; from fpnkit.launch.launchers import submit\n"
        "print(submit(['create', sys.argv[1]], Path(sys.argv[1]), 'tests.support.fake_trainer').pid, flush=True)\n"
        "time.sleep(0 if sys.argv[2] == 'exit' else 60)"
    )
    # A session of its own, as a kernel has; the interrupt goes to all of it, as Jupyter's does.
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(base), death],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    if death != "exit":
        os.killpg(parent.pid, signal.SIGKILL if death == "kill" else signal.SIGINT)
    parent.wait(timeout=30)
    parent.stdout.close()
    (launched,) = find(base)
    try:
        assert launched.pid == pid
        run = run_made(launched)
        assert run_status(read_record(run)).word == "running"
        stop(launched, "kill")
    finally:
        if launched.lives():
            os.kill(pid, 9)
    until(lambda: not launched.lives())
    assert run_status(read_record(run)).word == "killed"
    assert look(launched).run == run


def test_what_ended_in_this_process_does_not_stay_a_zombie(base: Path, launch: Begin) -> None:
    launched = launch("create", base, "--end", 0, "finished")
    until(lambda: not Path(f"/proc/{launched.pid}").exists())
    seen = look(launched)
    assert (seen.running, seen.failure) == (False, None)
    assert seen.run is not None
    assert run_status(read_record(seen.run)).word == "finished"


def test_a_run_resumed_by_another_process_is_still_known_to_the_first(base: Path, launch: Begin) -> None:
    first = launch("create", base, "--end", 130, "SIGINT")
    until(lambda: not first.lives())
    run = run_made(first)
    second = launch("resume", run)
    assert run_made(second) == run
    assert read_record(run).pid == second.pid
    assert look(first).run == run


def test_a_crash_before_there_is_a_run_directory_shows_its_traceback(base: Path, launch: Begin) -> None:
    launched = launch("create", "/proc/no/such/place")
    until(lambda: not launched.lives())
    seen = look(launched)
    assert seen.run is None
    assert seen.failure is not None
    lines = seen.failure.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("fpnkit.errors.RunError: base directory /proc/no/such/place: required a directory")


def test_wrong_input_shows_the_message_of_the_command_in_full(base: Path, launch: Begin) -> None:
    launched = launch("--config", "none.yaml", "--set", "no", module="fpnkit.train")
    until(lambda: not launched.lives())
    assert look(launched).failure == "--set no: required key.path=value, such as training.lr=1e-4"


def test_a_process_killed_before_it_said_anything(base: Path, launch: Begin) -> None:
    launched = launch("30", module="timeit")
    stop(launched, "kill")
    until(lambda: not launched.lives())
    assert look(launched).failure == "it was ended before it wrote anything"


def test_many_started_in_one_second_have_an_output_each(base: Path, launch: Begin) -> None:
    launched = [launch("create", base, "--end", 0, "finished") for _ in range(3)]
    assert len({item.log for item in launched}) == 3
    for item in launched:
        assert item.log.stat().st_mode & 0o777 == 0o600  # raw output may hold secrets


def long_ago(launched: LocalLaunch, day: int = 1) -> LocalLaunch:
    data = json.loads(launched.file.read_text()) | {"started": f"2000-01-{day:02}T00:00:00+00:00"}
    launched.file.write_text(json.dumps(data))
    return launched


def test_outputs_of_ended_runs_are_removed_but_never_of_what_runs_or_failed(base: Path, launch: Begin) -> None:
    alive, young = launch("create", base), launch("create", base, "--end", 0, "finished")
    done, stopped = launch("create", base, "--end", 0, "finished"), launch("create", base, "--end", 130, "SIGINT")
    crashed, refused = launch("create", base, "--end", 1, "OSError"), launch("nonsense")
    for item in (young, done, stopped, crashed, refused):
        until(lambda item=item: not item.lives())  # type: ignore[misc]
    for item in (alive, done, stopped, crashed, refused):
        long_ago(item)
    run_made(alive)
    assert done.record.exists()
    elsewhere = base / FOLDER / "20000101_000000_1.json"
    elsewhere.write_text(json.dumps(json.loads(done.file.read_text()) | {"host": "elsewhere"}))
    last = launch("nonsense")
    kept = {item.file.stem for item in (alive, young, crashed, refused, last)}
    assert {path.stem for path in (base / FOLDER).glob("*.log")} == kept
    assert {path.stem for path in (base / FOLDER).glob("*.record")} <= kept
    assert {item.file.stem for item in find(base)} == kept | {elsewhere.stem}


def test_of_failed_ones_the_newest_twenty_stay(base: Path, launch: Begin) -> None:
    first = launch("nonsense")
    until(lambda: not first.lives())
    for day in range(1, 26):
        file = base / FOLDER / f"200001{day:02}_000000_1.json"
        file.write_text(first.file.read_text())
        file.with_suffix(".log").write_text("failed")
        long_ago(replace(first, file=file), day)
    last = launch("nonsense")
    names = [item.file.name for item in find(base)]
    assert names[:3] == [last.file.name, first.file.name, "20000125_000000_1.json"]
    assert names[-1] == "20000106_000000_1.json"
    assert {path.stem for path in (base / FOLDER).glob("*.log")} == {name.removesuffix(".json") for name in names}


def test_a_disk_without_room_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from fpnkit.errors import FpnkitError; from fpnkit.launch.launchers import submit\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: submit(['60'], Path(sys.argv[1]) / 'runs', 'timeit')\n"
        "except FpnkitError as error: print(type(error).__name__, error)\n"
        "import time; time.sleep(0.5)\n"
        "import psutil; print(psutil.Process().children())"
    )
    done = python(code, tmp_path)
    folder = tmp_path / "runs" / FOLDER
    error, children = done.stdout.splitlines()
    assert error.startswith(f"StorageError {folder}/")
    assert error.endswith("_1.json: could not be written: File too large")
    assert children == "[]"
    assert not folder.parent.exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_base_directory_that_is_a_file_is_one_error(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as error:
        submit(["60"], tmp_path / place, "timeit")
    expected = f"base directory {tmp_path / place}: must be a directory, found the file {tmp_path / 'file'}"
    assert str(error.value) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interpreter_that_cannot_be_started_is_one_error(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FpnkitError) as error:
        submit([], base)
    assert str(error.value) == "/nowhere/python: could not be started: No such file or directory"
    assert not base.exists()


def test_a_process_is_told_from_another_with_its_pid(base: Path, launch: Begin) -> None:
    pid, created = own_process()
    launched = launch("create", base, "--end", 0, "finished")
    imposter = replace(launched, pid=pid, pid_created=created, pid_start=f"{process_start(pid)}0")
    assert not imposter.lives()
    assert replace(imposter, pid_start=process_start(pid)).lives()


def test_what_was_started_before_there_were_records_is_known_by_its_output(base: Path, launch: Begin) -> None:
    """As the code before wrote it: no version, no launcher; the run directory in a line of the log."""
    launched = launch("create", base)
    run = run_made(launched)
    until(lambda: look(launched).output[-1] == "line 2")
    before = json.loads(launched.file.read_text())
    for key in ("launcher", "schema_version"):
        del before[key]
    launched.file.write_text(json.dumps(before))
    launched.record.unlink()
    (old,) = find(base)
    assert (old.lives(), look(old).run, see(old.file)) == (True, run, see(run))
    stop(old, "kill")
    until(lambda: not old.lives())
    assert look(old).run == run
    assert see(run).failure == f"{run}\nline 0\nline 1\nline 2"
    old.log.write_text("sweep config_1234abcd: 2 to train\nplan: x\n")
    old.file.write_text(json.dumps(before | {"argv": ["python", "-u", "-m", SWEEP, "--lambdas", "1", "2"]}))
    assert facts(load(old.file)).sweep == "config_1234abcd"


def test_what_a_newer_fpnkit_submitted_is_refused(base: Path, launch: Begin) -> None:
    launched = launch("create", base, "--end", 0, "finished")
    launched.file.write_text(json.dumps(json.loads(launched.file.read_text()) | {"schema_version": 3, "queue": "q"}))
    with pytest.raises(RunError) as error:
        load(launched.file)
    told = f"{launched.file}: has schema version 3, this fpnkit reads up to 2; update fpnkit"
    assert str(error.value) == told
    assert find(base) == []
