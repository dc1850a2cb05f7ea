"""The panel that starts trainings, where there is a Slurm; its commands are fakes, the processes are real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fpnkit.foundation import slurm
from fpnkit.foundation.files import write_json
from fpnkit.launch.launchers import find, submit_to_slurm
from fpnkit.launch.local import command
from fpnkit.launch.slurm import SlurmLaunch
from fpnkit.launch.sweep import Sweep, sweep_path, write_sweep
from fpnkit.launch.sweep_training import command_for, find_point
from fpnkit.runs.job import SchedulerJob, write_job
from fpnkit.runs.record import read_record
from fpnkit.runs.status import status_of
from fpnkit.widgets.runs.browser import RunBrowser
from fpnkit.widgets.training.panel import TrainingPanel
from tests.support.fake_slurm import FakeSlurm, fake_slurm
from tests.support.panel_tools import Clock, click, opened
from tests.support.sweep_runs import make_run, plan
from tests.support.training_panels import Open, update_until

pytestmark = pytest.mark.usefixtures("warm_processes")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    yield fake_slurm(tmp_path / "slurm", monkeypatch)
    slurm.ask_again()


@pytest.fixture
def panel(queue: FakeSlurm, open_panel: Open, seconds: Clock) -> TrainingPanel:
    """With Slurm chosen."""
    made = open_panel(now=seconds)
    made.setup.where.value = "Slurm"
    return made


def submit_sweep(base: Path, config: Path, lambdas: list[float]) -> tuple[Sweep, list[SlurmLaunch]]:
    """As `fpnkit.sweep --on slurm --evaluate` from a terminal does."""
    base.mkdir(exist_ok=True)
    sweep = plan(config, lambdas)
    write_sweep(base, sweep)
    commands = [command_for(sweep, base, find_point(sweep, [], each, 0)) for each in lambdas]
    launches = submit_to_slurm(commands, base, {})
    evaluation = command(["--sweep", sweep.id, "--base-dir", str(base)], "fpnkit.evaluate")
    after = [launches[0].job.partition("_")[0]]
    return sweep, [*launches, *submit_to_slurm([evaluation], base, {}, after=after)]


def array_in(options: str) -> str:
    return next(each for each in options.split() if each.startswith("--array=")).removeprefix("--array=")


def look_later(panel: TrainingPanel, clock: Clock) -> None:
    clock.seconds += 10
    panel.update()
    panel.finish()


def test_without_slurm_nobody_is_asked_where(open_panel: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    setup = open_panel().setup
    assert setup._places.layout.display == "none"
    assert "--on" not in setup.command.value


def test_what_is_asked_of_slurm_becomes_the_command(panel: TrainingPanel, config: Path, base: Path) -> None:
    setup = panel.setup
    config.write_text(config.read_text() + "slurm: {partition: gpu, gpus: 2}\n")
    setup.read()
    assert setup._places.layout.display is None
    assert [field.placeholder for field in setup.slurm.values()] == ["gpu", "Slurm's default", "2"]
    assert setup.command.value == f"python -m fpnkit.train --config {config} --on slurm --base-dir {base}"
    setup.slurm["partition"].value, setup.slurm["time"].value = " main ", "4:00:00"
    setup.lambdas.value, setup.jobs.value = "1e-3 2e-3", "1"
    setup.more.value = "slurm.account=vision"
    assert setup.command.value == (
        f"python -m fpnkit.sweep --config {config} --lambdas 1e-3 2e-3 --set slurm.account=vision --on slurm"
        f" --slurm partition=main --slurm time=4:00:00 --base-dir {base} --jobs 1"
    )
    assert setup.request is not None
    wanted = {"partition": "main", "gpus": 2, "time": "4:00:00", "account": "vision"}
    assert setup.request.config.slurm == wanted
    setup.where.value = "This machine"
    assert "slurm " not in setup.command.value
    assert [field.layout.display for field in setup.slurm.values()] == ["none"] * 3
    panel.raise_failures()


def test_a_check_asks_slurm_and_shows_its_words(panel: TrainingPanel, queue: FakeSlurm) -> None:
    setup = panel.setup
    click(setup.check_button)
    panel.finish()
    assert "✔ everything is in order" in setup.checked.value
    assert "Slurm would accept it; nothing was submitted" in setup.checked.value
    setup.slurm["partition"].value = "nowhere"
    click(setup.check_button)
    panel.finish()
    assert "✖ it would fail to start" in setup.checked.value
    assert "sbatch refused: invalid partition specified: nowhere" in setup.checked.value
    assert queue.submitted() == []


def test_a_run_is_submitted_seen_in_the_queue_stopped_and_submitted_again(
    panel: TrainingPanel, queue: FakeSlurm, base: Path, seconds: Clock, open_panel: Open
) -> None:
    panel.setup.slurm["partition"].value, panel.setup.slurm["time"].value = "gpu", "30"
    click(panel.start_button)
    panel.raise_failures()
    live = panel.live
    update_until(panel, lambda: "◷ queued" in live.head.value)
    assert "job 8_0: Resources" in live.head.value
    (launched,) = [each for each in find(base) if each.scheduled]
    assert live.watched == launched.file  # what submitted it may be tidied away
    (submitted,) = queue.submitted()
    assert "--partition=gpu" in submitted
    assert "--time=30" in submitted
    assert "--array=0-0" in submitted
    other = open_panel()
    assert "1 under way: attach to see it." in other.offer.value
    click(other.attach_button)
    other.finish()
    assert "job 8_0: Resources" in other.live.head.value
    click(panel.start_button)
    panel.finish()
    assert panel.confirmation.asking
    assert "job 8_0: Resources: train" in panel.confirmation.question.value
    click(panel.confirmation.no)

    queue.answers(False)
    look_later(panel, seconds)
    assert "◷ queued" in live.head.value
    assert "job 8_0: the scheduler does not answer" in live.head.value
    queue.answers(True)
    look_later(panel, seconds)
    assert "job 8_0: Resources" in live.head.value

    click(live.stop_button)
    panel.raise_failures()
    assert queue.cancelled() == ["8_0"]
    look_later(panel, seconds)
    assert "■ stopped" in live.head.value
    assert "stopped before it began" in live.head.value
    click(live.resume_button)
    panel.raise_failures()
    update_until(panel, lambda: "job 9_0: Resources" in live.head.value)
    assert "--partition=gpu" in queue.submitted()[1]  # the way it was
    queue.set("9_0", "RUNNING", node="n1")
    look_later(panel, seconds)
    assert "▷ starting" in live.head.value
    panel.raise_failures()


def test_what_slurm_refuses_is_shown_where_it_was_started(panel: TrainingPanel, base: Path) -> None:
    panel.setup.slurm["partition"].value = "nowhere"
    click(panel.start_button)
    panel.finish()
    update_until(panel, lambda: "✖ failed" in panel.live.head.value)
    assert "sbatch refused: invalid partition specified: nowhere" in panel.live.failure.value
    assert [each for each in find(base) if each.scheduled] == []


def test_a_run_goes_on_where_it_was_trained(
    panel: TrainingPanel, queue: FakeSlurm, config: Path, base: Path, seconds: Clock
) -> None:
    run = make_run(base, plan(config, [1e-3], None, "slurm.partition=gpu").config(1e-3, 0), ("interrupted", 130))
    write_job(run, SchedulerJob("3_0", str(base / "3.log")))
    (run / "STOP").touch()
    live = panel.live
    live.watch(run)
    panel.finish()
    assert "■ stopped" in live.head.value
    queue.answers(False)
    look_later(panel, seconds)
    assert "interrupted; the scheduler does not answer" in live.head.value  # it may be queued
    queue.answers(True)
    look_later(panel, seconds)
    click(live.resume_button)
    panel.raise_failures()
    update_until(panel, lambda: "job 8_0: Resources" in live.head.value)
    assert live.watched == run
    assert live.stop_button.description == "Stop"
    assert status_of(run, read_record(run)).word == "queued"
    assert "--partition=gpu" in queue.submitted()[0]
    click(live.kill_button)
    click(live.confirmation.yes)
    panel.raise_failures()
    assert queue.cancelled() == ["8_0"]
    look_later(panel, seconds)
    assert "■ stopped" in live.head.value


def test_a_sweep_is_seen_run_by_run_and_ended_with_few_questions(
    panel: TrainingPanel, queue: FakeSlurm, config: Path, base: Path, seconds: Clock
) -> None:
    sweep, launches = submit_sweep(base, config, [1e-3, 2e-3, 4e-3])
    panel.list_running()
    panel.finish()
    assert list(panel.running.options) == [(f"sweep {sweep.id}: 4 queued", sweep_path(base, sweep.id))]
    click(panel.attach_button)
    panel.finish()
    live = panel.live
    assert "◷ queued" in live.head.value
    assert "0 of 3 finished" in live.head.value
    assert "evaluate: job 9_0: Dependency" in live.head.value
    assert [f"job 8_{task}: Resources" in live.strip.value for task in range(3)] == [True] * 3
    assert list(panel.running.options) == []  # it is the one shown

    make_run(base, sweep.config(1e-3, 0), "running", sweep=sweep.id)
    (begun,) = base.glob("run_*")
    write_json(launches[0].record, {"schema_version": 1, "run": str(begun)})
    queue.set("8_0", "RUNNING", node="n1")
    look_later(panel, seconds)
    assert "▶ running" in live.head.value
    assert "▶ running" in live.strip.value
    assert "job 8_0" not in live.strip.value
    asked = queue.times_asked()
    click(live.stop_button)
    panel.raise_failures()
    assert queue.cancelled() == ["9_0 8_2 8_1", "--signal=INT 8_0"]  # first what would take its place
    assert queue.times_asked() <= asked + 3
    assert "cancelled 3 jobs (9_0, 8_2, 8_1) that had not begun; asked job 8_0 to stop" in live.said.value
    assert (begun / "STOP").exists()
    look_later(panel, seconds)
    assert live.stop_button.description == "Stop now"
    assert live.strip.value.count("– missing") == 2


def test_a_sweep_from_the_panel_can_be_submitted_again(
    panel: TrainingPanel, queue: FakeSlurm, config: Path, base: Path, seconds: Clock
) -> None:
    panel.setup.lambdas.value, panel.setup.jobs.value = "1e-3 2e-3", "1"
    click(panel.start_button)
    panel.raise_failures()

    def is_queued() -> bool:
        seconds.seconds += 10
        return panel.live.strip.value.count("◷ queued") == 2

    update_until(panel, is_queued)
    assert "--array=0-1%1" in queue.submitted()[0]
    assert panel.live.resume_button.disabled
    click(panel.live.stop_button)  # perhaps before the command that submitted them has ended
    panel.raise_failures()

    def has_ended() -> bool:
        seconds.seconds += 10
        return "■ ended" in panel.live.head.value

    update_until(panel, has_ended)
    click(panel.live.resume_button)
    panel.raise_failures()
    update_until(panel, is_queued)
    assert [array_in(each) for each in queue.submitted()] == ["0-1%1"] * 2


def test_runs_that_wait_are_a_line_above_the_runs(
    queue: FakeSlurm, config: Path, base: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base.mkdir()
    make_run(base, plan(config, [1e-4]).config(1e-4, 0))
    browser = opened(RunBrowser(base))
    assert (browser.queue.value, browser.queue.layout.display) == ("", "none")
    submit_sweep(base, config, [1e-3, 2e-3, 4e-3])
    click(browser.reload)
    browser.raise_failures()
    assert browser.queue.layout.display is None
    assert "4 queued: job 9_0: Dependency: evaluate; job 8_2: Resources: train lambda 4e-3, seed 0; " in (
        browser.queue.value
    )
    assert "job 8_1: Resources: train lambda 2e-3, seed 0; …" in browser.queue.value
    monkeypatch.setenv("PATH", str(tmp_path))  # no Slurm
    click(browser.reload)
    browser.raise_failures()
    assert browser.queue.layout.display == "none"
