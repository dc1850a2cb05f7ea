"""Ending processes, and never the wrong one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import write_json
from fpnkit.launch.launchers import find, look
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.protocol import SWEEP, TRAIN
from fpnkit.launch.stop import asked, stop
from fpnkit.launch.watch import running, see
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record, record_to_dict
from fpnkit.runs.status import RunStatus, run_status
from tests.support import warm
from tests.support.launch_processes import PATIENCE, run_made
from tests.support.run_processes import python, until
from tests.support.train_process import write_config

Begin = Callable[..., LocalLaunch]


@pytest.mark.usefixtures("warm_processes")
def test_a_training_asked_to_stop_saves_what_a_resume_goes_on_from(base: Path, launch: Begin, tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features", crops=500)
    launched = launch("--config", config, "--base-dir", base, module=TRAIN)
    run = run_made(launched)
    until(lambda: len(read_metrics(run / "metrics.jsonl")) > 1)
    assert stop(run) == f"sent SIGINT to process {launched.pid}"
    until(lambda: not launched.lives())
    assert run_status(read_record(run)) == RunStatus("stopped", "SIGINT")
    assert look(launched).run == run
    with pytest.raises(RunError) as error:
        stop(run)
    assert str(error.value) == f"{run}: is not running, it is stopped"
    step = read_record(run).step
    again = launch("--resume", run, module=TRAIN)
    until(lambda: read_record(run).pid == again.pid and read_record(run).step > step, PATIENCE)
    stop(again)
    until(lambda: not again.lives())
    assert run_status(read_record(run)) == RunStatus("stopped", "SIGINT")


@pytest.mark.parametrize(
    ("seconds", "deaf", "module"),
    [(0.0, True, TRAIN), (0.1, False, TRAIN), (0.7, True, TRAIN), (0.0, True, SWEEP), (0.3, False, SWEEP)],
)
def test_a_stop_is_heard_from_the_first_moment_and_is_no_failure(
    seconds: float, deaf: bool, module: str, base: Path, tmp_path: Path
) -> None:
    """Deaf: started by what ignores SIGINT, as a Jupyter does that a script started with `&`."""
    config = write_config(tmp_path, tmp_path / "features", crops=500)
    code = (
        "import signal, sys, time; from pathlib import Path\n"
        "from fpnkit.launch.launchers import submit; from fpnkit.launch.stop import stop\n"
        "base, seconds, module, *arguments = sys.argv[1:]\n"
        f"if {deaf}: signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "launched = submit(arguments, Path(base), module); time.sleep(float(seconds)); print(stop(launched))"
    )
    lambdas = ["--lambda", "1e-3"] if module == TRAIN else ["--lambdas", "1e-3", "2e-3"]
    done = python(code, base, seconds, module, "--config", config, "--base-dir", base, *lambdas)
    (launched,) = find(base)
    try:
        assert done.stdout == f"sent SIGINT to process {launched.pid}\n"
        until(lambda: not launched.lives())
        seen = see(launched.file)
        assert (seen.status, seen.reason, seen.failure) == ("stopped", "stopped before it began", None)
        assert (seen.running, seen.run, seen.sweep, running(base)) == (False, None, (), [])
    finally:
        if launched.lives():
            stop(launched, "kill")


@pytest.mark.parametrize(
    ("place", "then"),
    [
        ("training.prepare", "pass"),
        ("training.prepare", "raise SystemError('of a library') from None"),
        ("analysis.training", "pass"),
    ],
)
def test_an_interrupt_that_an_import_swallows_still_ends_the_training(
    place: str, then: str, base: Path, tmp_path: Path
) -> None:
    code = (
        "import os, signal, sys\n"
        "import fpnkit.train\n"
        "class Library:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == 'fpnkit.{place}':\n"
        "            try: os.kill(os.getpid(), signal.SIGINT); signal.sigtimedwait([], 5)\n"
        f"            except KeyboardInterrupt: {then}\n"
        "sys.meta_path.insert(0, Library())\n"
        "sys.exit(fpnkit.train.main(sys.argv[1:]))"
    )
    config = write_config(tmp_path, tmp_path / "features")
    done = warm.run([sys.executable, "-c", code, "--config", str(config), "--base-dir", str(base)])
    assert done.returncode == 130, done.stderr
    if place == "training.prepare":
        told = "fpnkit.train: interrupted before training began; no run directory was made"
        assert done.stderr.splitlines()[-1] == told
        assert not base.exists()
    else:
        (run,) = base.glob("run_*")
        assert run_status(read_record(run)) == RunStatus("stopped", "interrupted")


def test_an_interrupt_that_nobody_asked_for_is_a_failure(base: Path, launch: Begin) -> None:
    launched = launch("-n1", "while 1: 0", module="timeit")
    os.kill(launched.pid, signal.SIGINT)
    until(lambda: not launched.lives())
    assert see(launched.file).status == "failed"


def test_kill_ends_it_at_once_with_its_workers(base: Path, launch: Begin) -> None:
    launched = launch("create", base, "--fork")
    run = run_made(launched)
    until(lambda: look(launched).output[-1] == "line 2")  # until then git, which it asks for the commit, may be another
    (worker,) = psutil.Process(launched.pid).children()
    assert stop(launched, "kill") == f"killed process {launched.pid}"
    until(lambda: not launched.lives() and not worker.is_running())
    assert run_status(read_record(run)).word == "killed"
    with pytest.raises(RunError) as error:
        stop(launched)
    assert str(error.value) == f"process {launched.pid} on {launched.host}: is not running"


def test_a_process_that_only_has_the_pid_is_not_touched(base: Path, launch: Begin) -> None:
    run = run_made(launch("create", base, "--end", 1, "OSError"))
    until(lambda: read_record(run).exit_code == 1)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        record = read_record(run)
        facts = replace(record, pid=bystander.pid, exit_code=None, exit_reason=None, ended=None)
        write_json(run / "run.json", record_to_dict(facts))
        recycled = replace(launch("nonsense"), pid=bystander.pid, pid_start="another boot/1")
        for how in ("graceful", "now", "kill"):
            with pytest.raises(RunError) as error:
                stop(run, how)
            assert str(error.value) == f"{run}: is not running, it is killed"
            with pytest.raises(RunError) as error:
                stop(recycled, how)
            assert str(error.value) == f"process {bystander.pid} on {recycled.host}: is not running"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_run_on_another_host_is_asked_by_a_file(base: Path, launch: Begin) -> None:
    launched = launch("create", base, "--heartbeat", 1000)
    run = run_made(launched)
    until(lambda: look(launched).output[-1] == "line 2")
    here = read_record(run)
    there = replace(here, host="far", heartbeat=clock.to_text(clock.now()))
    write_json(run / "run.json", record_to_dict(there))
    with pytest.raises(RunError) as error:
        stop(run, "kill")
    assert str(error.value) == f"{run}: runs on far; from here it can only be asked to stop gracefully"
    assert stop(run) == "asked the run on far to stop; it looks once a second, after a step"
    until(lambda: not launched.lives())  # it is near after all, and obeys
    assert run_status(read_record(run)) == RunStatus("stopped", "STOP file")


def test_now_ends_what_does_not_hear(base: Path, launch: Begin) -> None:
    launched = launch(
        "-s", "import signal; signal.signal(2, signal.SIG_IGN); print(1)", "-n1", "while 1: 0", module="timeit"
    )
    until(lambda: look(launched).output == ("1",))
    assert stop(launched) == f"sent SIGINT to process {launched.pid}"
    assert launched.lives()
    assert stop(launched, "now") == f"sent SIGTERM to process {launched.pid}"
    until(lambda: not launched.lives())


def test_who_asks_again_from_elsewhere_does_not_end_it_at_once(base: Path, launch: Begin) -> None:
    """A trainer takes a second signal as `at once`; the first was asked for by a process that is gone."""
    launched = launch("create", base)
    run = run_made(launched)
    os.kill(launched.pid, signal.SIGSTOP)  # in a step that takes long
    assert not asked(run)
    code = "import sys; from pathlib import Path; from fpnkit.launch.stop import stop; print(stop(Path(sys.argv[1])))"
    assert python(code, run).stdout == f"sent SIGINT to process {launched.pid}\n"
    assert asked(run)
    assert asked(launched)
    for target in (run, launched):
        assert stop(target) == f"process {launched.pid} was asked to stop before; it ends after its step"
    assert stop(run, "now") == f"sent SIGTERM to process {launched.pid}"
    stop(run, "kill")
    until(lambda: not launched.lives())
    again = launch("resume", run)
    until(lambda: look(again).run == run)
    assert not asked(run)  # by nobody since then
    assert not asked(again)


def test_a_process_without_a_run_directory_keeps_that_it_was_asked(base: Path, launch: Begin) -> None:
    code = "import signal; signal.signal(2, signal.SIG_IGN); print(1)"
    launched = launch("-s", code, "-n1", "while 1: 0", module="timeit")
    until(lambda: look(launched).output == ("1",))
    assert not asked(launched)
    stop(launched)
    assert asked(launched)
    assert stop(launched) == f"process {launched.pid} was asked to stop before; it ends after its step"


def test_a_full_disk_is_no_reason_not_to_stop(base: Path, launch: Begin) -> None:
    launched = launch("-n1", "while 1: 0", module="timeit")
    before = launched.file.read_text()
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from fpnkit.launch.launchers import find; from fpnkit.launch.stop import stop\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "(launched,) = find(Path(sys.argv[1])); print(stop(launched))"
    )
    assert python(code, base).stdout == f"sent SIGINT to process {launched.pid}\n"
    until(lambda: not launched.lives())
    assert launched.file.read_text() == before
    assert {path.suffix for path in launched.file.parent.iterdir()} == {".json", ".log"}
