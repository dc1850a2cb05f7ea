"""The panel that starts trainings and shows them: traits, handlers and real processes; no browser."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import ipywidgets as widgets
import psutil
import pytest

from fpnkit.errors import RunError
from fpnkit.launch.launchers import facts, find, submit
from fpnkit.launch.protocol import FOLDER, SWEEP
from fpnkit.launch.sweep import write_sweep
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine, MetricsWriter, read_metrics
from fpnkit.runs.record import read_record
from fpnkit.runs.status import run_status
from fpnkit.widgets.training.live import REDRAW_SECONDS
from fpnkit.widgets.training.panel import TrainingPanel
from tests.support import ROOT
from tests.support.launch_processes import run_made
from tests.support.panel_tools import Clock, click, count_traffic, everything
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config
from tests.support.training_panels import simulate, training_panels, update_until

pytestmark = pytest.mark.usefixtures("warm_processes")

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    write_config(folder, tmp_path / "features", crops=500)
    return folder


@pytest.fixture
def open_panel(configs: Path, base: Path) -> Iterator[Callable[..., TrainingPanel]]:
    with training_panels(configs, base) as make:
        yield make


def test_every_control_has_a_label(open_panel: Callable[..., TrainingPanel]) -> None:
    kinds = (widgets.Text, widgets.Textarea, widgets.Dropdown, widgets.Button, widgets.Checkbox, widgets.FloatProgress)
    panel = open_panel()
    controls = [each for each in everything(panel) if isinstance(each, kinds) and each is not panel.confirmation.yes]
    assert len(controls) >= 15
    lacking = [each for each in controls if not each.description and each is not panel.live.confirmation.yes]
    assert lacking == []


def test_settings_are_checked_as_they_are_typed_and_become_the_command(
    open_panel: Callable[..., TrainingPanel], configs: Path, base: Path
) -> None:
    panel = open_panel()
    setup = panel.setup
    place = f"--config {configs}/config.yaml"
    assert setup.command.value == f"python -m fpnkit.train {place} --base-dir {base}"
    assert setup.flags["--lr"].placeholder == "0.001"
    setup.lambdas.value, setup.flags["--epochs"].value = " 1e-3", "7 "
    setup.more.value = "training.crop=128\n\nseed=5"
    settings = f"--epochs 7 --set training.crop=128 --set seed=5 --base-dir {base}"
    assert setup.command.value == f"python -m fpnkit.train {place} --lambda 1e-3 {settings}"
    setup.lambdas.value = "1e-3, 2e-3  4e-3"
    setup.more.value = "training.crp=1"
    assert "✖ --set training.crp=1: training.crp: unknown key; did you mean crop?" in setup.problems.value
    assert setup.command.value == ""
    assert panel.start_button.disabled
    assert setup.check_button.disabled
    setup.more.value = ""
    setup.lambdas.value = "1e-3;2e-3 ; 4e-3,"
    swept = f"python -m fpnkit.sweep {place} --lambdas 1e-3 2e-3 4e-3 --epochs 7 --base-dir {base}"
    assert (setup.command.value, setup.problems.value, panel.start_button.disabled) == (swept, "", False)
    assert not setup.jobs.disabled
    setup.jobs.value = "two"
    assert "✖ --jobs two: required a number from 1 on, or auto" in setup.problems.value
    setup.jobs.value = " 2 "
    assert setup.command.value == f"{swept} --jobs 2"
    setup.jobs.value = ""
    setup.command.value = "rm -rf /"
    assert setup.command.value == swept
    setup.lambdas.value = "1e-3"
    assert setup.jobs.disabled
    panel.raise_failures()


def test_a_folder_beside_the_notebook_is_named_without_the_way_there(
    configs: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (configs.parent / "notebooks").mkdir()
    monkeypatch.chdir(configs.parent / "notebooks")
    panel = TrainingPanel("../configs", base, poll_seconds=0)
    panel.close()
    assert panel.setup.command.value == f"python -m fpnkit.train --config {configs}/config.yaml --base-dir {base}"


def test_texts_from_outside_are_escaped(open_panel: Callable[..., TrainingPanel], configs: Path, base: Path) -> None:
    panel = open_panel()
    panel.setup.more.value = "<img src=x>=1"
    assert "&lt;img src=x&gt;" in panel.setup.problems.value
    path = make_run(base, plan(configs / "config.yaml", [1e-3]).config(1e-3, 0), ("<b>broke</b>", 1))
    (path / "train_20260101_000000.log").write_text("<script>alert(1)</script>\n")
    panel.live.watch(path)
    panel.finish()
    shown = panel.live.head.value + panel.live.output.value + panel.live.failure.value
    assert "&lt;b&gt;broke&lt;/b&gt;" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    for widget in everything(panel):
        if isinstance(widget, widgets.HTML):
            assert not any(tag in widget.value for tag in ("<script", "<img", "<b>broke"))


def test_a_training_is_started_watched_stopped_resumed_and_killed(
    open_panel: Callable[..., TrainingPanel], base: Path
) -> None:
    panel = open_panel()
    live = panel.live
    click(panel.start_button)
    panel.raise_failures()
    assert live.watched is not None
    assert live.watched.parent == base / FOLDER
    update_until(panel, lambda: bool(live.picture.value))
    run = panel.run.path
    assert live.watched == run  # a path is all that it holds
    assert "▶ running" in live.head.value
    assert "epoch 1/3" in live.head.value
    assert bytes(live.picture.value).startswith(PNG)
    assert "SNR p2 (dB)" in live.numbers.value

    click(panel.start_button)

    panel.finish()
    panel.list_running()
    panel.finish()
    assert panel.confirmation.asking  # the same runs already; the question stays until it is answered
    assert len(find(base)) == 1
    click(panel.confirmation.no)
    panel.finish()
    other = open_panel()
    assert "1 under way: attach to see it." in other.offer.value
    click(other.attach_button)
    other.finish()
    assert other.run.path == run
    assert list(other.running.options) == []  # nothing else

    click(live.stop_button)

    panel.raise_failures()
    update_until(panel, lambda: "■ stopped" in live.head.value)
    assert live.stop_button.disabled
    assert live.said.value == ""  # what it said was of the process
    other.update()
    other.finish()
    assert "■ stopped" in other.live.head.value
    before = len(read_metrics(run / "metrics.jsonl"))

    click(live.resume_button)

    panel.raise_failures()
    update_until(panel, lambda: len(read_metrics(run / "metrics.jsonl")) > before)
    assert live.watched == run
    assert live.stop_button.description == "Stop"  # a new process that nobody has asked yet
    click(live.kill_button)
    panel.finish()
    assert "▶ running" in live.head.value
    click(live.confirmation.yes)
    panel.raise_failures()
    update_until(panel, lambda: "✖ killed" in live.head.value)
    assert run_status(read_record(run)).word == "killed"
    with pytest.raises(RunError) as error:
        live.stop()
    assert str(error.value) == f"{run}: is not running, it is killed"


@pytest.fixture
def fake(base: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Starts a fake trainer; → its run directory."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return lambda *arguments: run_made(submit(["create", str(base), *arguments], base, "tests.support.fake_trainer"))


def test_a_second_stop_ends_at_once_whoever_pressed_first(
    open_panel: Callable[..., TrainingPanel], fake: Callable[..., Path]
) -> None:
    run = fake()  # it does not listen to SIGINT as a trainer does: the first stop must not be what ends it
    pid = read_record(run).pid or 0
    panel, other = open_panel(), open_panel()
    for each in (panel, other):
        each.live.watch(run)
        each.finish()
        assert each.live.stop_button.description == "Stop"
    os.kill(pid, signal.SIGSTOP)  # in a step that takes long
    click(panel.live.stop_button)
    panel.finish()
    assert "sent SIGINT" in panel.live.said.value
    assert panel.live.stop_button.description == "Stop now"
    click(other.live.stop_button)  # it has not looked since: what it says is what it does
    assert f"process {pid} was asked to stop before; it ends after its step" in other.live.said.value
    later = open_panel()  # as after a restart of the kernel
    later.live.watch(run)
    later.finish()
    assert later.live.stop_button.description == "Stop now"
    click(later.live.stop_button)
    later.finish()
    assert f"sent SIGTERM to process {pid}" in later.live.said.value
    os.kill(pid, signal.SIGCONT)
    update_until(panel, lambda: not panel.live.seen.running)  # type: ignore[union-attr]
    panel.raise_failures()


def test_a_crash_shows_its_last_traceback(open_panel: Callable[..., TrainingPanel], base: Path) -> None:
    panel = open_panel()
    launched = submit([], base, "no_such_trainer")  # it cannot even begin
    panel.live.watch(launched.file)
    panel.finish()
    update_until(panel, lambda: "✖ failed" in panel.live.head.value)
    assert "No module named no_such_trainer" in panel.live.failure.value


def test_what_fails_while_polling_stands_in_the_panel(
    open_panel: Callable[..., TrainingPanel], fake: Callable[..., Path]
) -> None:
    run = fake("--end", "0", "finished")
    threads = threading.active_count()
    panel = open_panel(poll_seconds=0.02)
    panel.live.watch(run)
    panel.finish()
    (run / "run.json").rename(run / "gone.json")
    until(lambda: "look at the training" in panel.failures)
    assert str(panel.failures["look at the training"]) == f"{run}/run.json: does not exist"
    assert "✖ look at the training failed" in panel._alarm.value
    (run / "gone.json").rename(run / "run.json")
    until(lambda: not panel.failures)
    panel.close()
    until(lambda: threading.active_count() <= threads)


def test_no_configs_is_said_and_does_not_break_the_panel(tmp_path: Path, base: Path) -> None:
    panel = TrainingPanel(tmp_path / "nowhere", base, poll_seconds=0)
    told = f"{tmp_path}/nowhere: required a folder with configs (*.yaml), found none"
    assert str(panel.failures["list configs"]) == told
    assert panel.start_button.disabled
    panel.update()
    panel.finish()


def test_several_lambdas_are_one_sweep_with_a_strip(
    open_panel: Callable[..., TrainingPanel], configs: Path, base: Path
) -> None:
    base.mkdir()
    whole = plan(configs / "config.yaml", [1e-4, 1e-3, 2e-3, 3e-3])
    write_sweep(base, whole)
    make_run(base, whole.config(1e-3, 0), sweep=whole.id)
    far = make_run(base, whole.config(2e-3, 0), "running", sweep=whole.id)
    make_run(base, whole.config(3e-3, 0), "killed", sweep=whole.id)
    writer = MetricsWriter(far / "metrics.jsonl")
    writer.append(MetricsLine("t", "val", 1, 10, 2.0, seconds=5.0))
    writer.append(MetricsLine("t", "train", 2, 18, 1.0, seconds=9.0))  # 18 of 3 · 10 steps
    writer.close()
    clock = Clock()
    panel = open_panel(now=clock)
    panel.setup.lambdas.value = "1e-3 2e-3"
    click(panel.start_button)
    panel.finish()
    assert panel.confirmation.asking  # one of them runs already
    click(panel.confirmation.yes)
    panel.raise_failures()

    def ended() -> bool:
        clock.seconds += 5
        return "■ ended" in panel.live.head.value

    update_until(panel, ended)
    strip = panel.live.strip.value
    for label, status in (("1e-4", "– missing"), ("1e-3", "✔ finished"), ("2e-3", "▶ running"), ("3e-3", "✖ killed")):
        assert f"λ {label} " in strip
        assert status in strip
    assert "</span> 60%</span>" in strip
    assert "1 of 4 finished" in panel.live.head.value
    assert panel.live.bar.value == pytest.approx((1 + 0.6) / 4)
    assert len(find(base)) == 1
    assert list(panel.running.options) == []  # the run that goes on is the one shown
    assert not panel.live.resume_button.disabled


def test_runs_of_a_sweep_wait_while_its_process_lives_and_are_missing_once_it_has_ended(
    open_panel: Callable[..., TrainingPanel], configs: Path, base: Path
) -> None:
    base.mkdir()
    whole = plan(configs / "config.yaml", [1e-4, 1e-3, 2e-3])
    write_sweep(base, whole)
    done = make_run(base, whole.config(1e-3, 0), sweep=whole.id)
    arguments = ["--config", str(configs / "config.yaml"), "--lambdas", "1e-3", "2e-3", "--base-dir", str(base)]
    launched = submit(arguments, base, SWEEP)
    until(lambda: facts(launched).sweep is not None)
    os.kill(launched.pid, signal.SIGSTOP)
    clock = Clock()
    panel = open_panel(now=clock)
    panel.live.watch(launched.file)
    panel.finish()
    assert "preparing the next" in panel.live.head.value
    told = re.findall(r"λ (\S+) .*?>(\S \w+)</span>", panel.live.strip.value)
    assert told == [("1e-4", "– missing"), ("1e-3", "✔ finished"), ("2e-3", "… waiting")]  # the first: not its to train
    panel.live.kill()
    panel.finish()
    until(lambda: not launched.lives())  # the panel looks only once in these five seconds
    clock.seconds += 5
    update_until(panel, lambda: "■ ended" in panel.live.head.value)
    assert "waiting" not in panel.live.strip.value
    assert f"showing {layout.short_name(done.name)}<" in panel.live.head.value
    assert not panel.live.resume_button.disabled
    panel.raise_failures()


def test_one_that_was_stopped_before_it_began_may_be_started_again(
    open_panel: Callable[..., TrainingPanel], base: Path
) -> None:
    panel = open_panel()
    for button in (panel.start_button, panel.live.resume_button, panel.start_button):
        click(button)
        panel.finish()
        click(panel.live.stop_button)
        panel.raise_failures()
        update_until(panel, lambda: "■ stopped" in panel.live.head.value)
        assert "stopped before it began" in panel.live.head.value
        assert (panel.live.failure.value, panel.live.said.value) == ("", "")
    assert len({launched.argv for launched in find(base)}) == 1
    assert len(find(base)) == 3


def test_one_point_is_no_curve(open_panel: Callable[..., TrainingPanel], configs: Path, base: Path) -> None:
    run = make_run(base, plan(configs / "config.yaml", [1e-3]).config(1e-3, 0), "running")
    clock = Clock()
    panel = open_panel(now=clock)
    panel.live.watch(run)
    panel.finish()
    assert simulate(panel, run, clock, 1) == 0
    assert panel.live.numbers.value == ""
    assert simulate(panel, run, clock, 2) == 1  # at once, not after the time between two figures


def test_traffic_is_bounded_by_the_pictures_and_those_come_seldom(
    open_panel: Callable[..., TrainingPanel], configs: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(base, plan(configs / "config.yaml", [1e-3]).config(1e-3, 0), "running")
    clock = Clock()
    panel = open_panel(now=clock)
    panel.live.watch(run)
    panel.finish()
    sent = count_traffic(monkeypatch)
    seconds = 60
    pictures = simulate(panel, run, clock, seconds)
    assert 1 < pictures <= seconds / REDRAW_SECONDS + 1
    large = [size for size in sent if size > 40_000]
    assert len(large) == pictures
    assert sum(sent) - sum(large) < seconds * 4_000  # all the rest, what one can point at included
    sent.clear()
    for _ in range(100):  # nothing new: nothing to say
        clock.seconds += 1
        panel.update()
        panel.finish()
    assert len(sent) <= 4  # the points of the last seconds: picture, points to point at, table, log
    panel.raise_failures()


@pytest.mark.slow
def test_an_hour_is_a_few_megabytes_and_memory_does_not_grow(
    open_panel: Callable[..., TrainingPanel], configs: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(base, plan(configs / "config.yaml", [1e-3]).config(1e-3, 0), "running")
    clock = Clock()
    panel = open_panel(now=clock)
    panel.live.watch(run)
    panel.finish()
    simulate(panel, run, clock, 600)
    sent = count_traffic(monkeypatch)
    before = psutil.Process().memory_info().rss
    pictures = simulate(panel, run, clock, 3600)
    grown = psutil.Process().memory_info().rss - before
    print(f"{sum(sent) / 1e6:.1f} MB in {len(sent)} messages, {pictures} pictures, {grown / 1e6:.1f} MB more memory")
    assert sum(sent) < 20e6
    assert grown < 30e6
