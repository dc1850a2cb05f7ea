"""One training live: status, progress, curves and log; stop it and resume it."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets

from fpnkit.config.diff import flatten
from fpnkit.errors import RunError
from fpnkit.foundation import clock, slurm, text
from fpnkit.foundation.process_record import Phase
from fpnkit.foundation.steps import Step, Tell, forecast, timing
from fpnkit.launch.launchers import load, submit
from fpnkit.launch.output import last_lines
from fpnkit.launch.protocol import FOLDER, How, Launch
from fpnkit.launch.stop import stop
from fpnkit.launch.sweep import SweepPoint, is_plan
from fpnkit.launch.tail import MetricsTail, Pace, pace
from fpnkit.launch.watch import TrainingState, followed, see
from fpnkit.plots.metrics import metric_name
from fpnkit.plots.training import plot_training
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine
from fpnkit.runs.record import RunRecord
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Confirmation, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.work import Show

# A figure is 100 kB and a third of a second: seldom, and the longer it is watched, the less a minute changes.
REDRAW_SECONDS, _SLOWEST_REDRAW_SECONDS = 10.0, 120.0
_REDRAW_SHARE = 0.05  # of the time watched
_FEWEST_LINES = 2  # one makes no curve
_LOG_SECONDS = 5.0
_LOG_LINES = 15
_NO_NUMBER = ("time", "split", "epoch", "step", "seconds")
_BEFORE_IT_RUNS: dict[Phase, list[str]] = {"starting": [], "preparing": ["preparing data and detector"]}
_SELDOM_SECONDS = 5.0  # a sweep is looked up among all runs of its directory, what is queued in the queue
_MOST_BADGES = 60
_PLENTIFUL = ("queued", "waiting", "missing", "finished")


class LiveView(widgets.VBox):
    """Shows the run directory or launch in `watched`, and holds no other training state.

    It looks and draws in the background, for a sweep is looked up among all runs of its directory.
    """

    def __init__(self, panel: Panel, now: Callable[[], float] = time.monotonic) -> None:
        self._panel, self._now = panel, now
        self._looking = panel.work("look at the training")
        self._asking = panel.work("end jobs", lasting=True)  # a scheduler may take seconds to answer
        self.watched: Path | None = None
        self.seen: TrainingState | None = None
        self._tail: MetricsTail | None = None
        self._began = self._drawn = self._logged = self._looked = float("-inf")
        self._fresh = False  # points that are not drawn yet
        self._make_controls()
        self._buttons = widgets.HBox([self.stop_button, self.kill_button, self.resume_button])
        self._log = widgets.Accordion([self.output], titles=["Log"])
        parts = [
            widgets.HBox([self._looking, self._asking]),
            self.head,
            self.strip,
            self.bar,
            self._buttons,
            self.confirmation,
            self.said,
            self.failure,
        ]
        super().__init__([*parts, self.picture, self.numbers, self._log])
        self._show_nothing()

    @property
    def running(self) -> bool:
        """Whether the training shown was running at the last look."""
        return self.seen is not None and self.seen.running

    @property
    def shown(self) -> tuple[object, ...]:
        """Changes when another training is shown, or one has begun or ended."""
        seen = self.seen
        return (self.watched, *((seen.status, seen.run, *(each.status for each in seen.sweep)) if seen else ()))

    def watch(self, path: Path | None) -> None:
        """Show this training."""
        self.watched, self.seen, self._tail = path, None, None
        self._began = self._now()
        self._drawn = self._logged = self._looked = float("-inf")
        self.said.value = ""
        self.confirmation.withdraw()
        self._show_nothing()
        self._look_at_once()

    def update(self) -> None:
        """Look again in the background, unless it still looks."""
        if self._due() and not self._looking.busy:
            self._look(quiet=self.seen is not None)

    def wait(self) -> None:
        """Until what was looked at is shown."""
        self._looking.wait()

    def _look(self, *, quiet: bool = False) -> None:
        watched = self.watched
        if watched is not None:
            self._looking.ask(lambda tell: self._see(watched, tell), quiet=quiet)

    def _see(self, watched: Path, tell: Tell) -> Show:
        tell(Step("looking at the training"))
        if not watched.exists():
            return lambda: self._forget(watched)
        seen, path = see(watched), followed(watched)
        before, self._looked = self.seen, self._now()
        if before is None or (seen.status, seen.run) != (before.status, before.run):
            self._drawn = self._logged = float("-inf")
        speed = self._read_metrics(seen)
        log = self._read_log(seen)
        numbers = self._draw(seen, tell)

        def show() -> None:
            self.seen, self.watched = seen, path
            if seen.run is not None and seen.log is not None and not seen.sweep and watched.parent.name == FOLDER:
                # What a start wrote is tidied away some day; a run without a log may be taken back, as on a full disk.
                self.watched = seen.run
            self._show_state(seen, speed)
            self.output.value = log or self.output.value
            self.numbers.value = numbers or self.numbers.value

        return show

    def stop(self) -> None:
        """Stop gracefully, or immediately if already asked. Raises RunError if it has ended."""
        self._end("now" if self._require().asked else "graceful")

    def ask_kill(self) -> None:
        """Put the question."""
        name = text.printable(self._require().name)
        question = f"Kill {name}? Progress since its last save is lost."
        self.confirmation.ask(question, "Yes, kill it", "kill", self.kill)

    def kill(self) -> None:
        """Kill it immediately, with all its children. Raises RunError if it has ended."""
        self._end("kill")

    def resume(self) -> None:
        """Resume a run, or the missing runs of a sweep, where it was trained: here or by Slurm.

        Raises RunError if it is running or cannot be resumed.
        """
        seen = self._require()
        assert self.watched is not None
        on = ["--on", "slurm"] if seen.scheduled and slurm.is_here() else []
        if self.watched.parent.name == FOLDER:
            launched = load(self.watched)
            again = [*launched.argv[launched.argv.index("-m") + 2 :], *(on if launched.scheduled else [])]
            self.watch(submit(again, launched.base_dir, launched.module).file)
        elif seen.run is not None and not is_plan(self.watched):
            self.watch(submit(["--resume", str(seen.run), *on], seen.run.parent).file)

    def redraw(self) -> None:
        """Redraw in the other colors."""
        if self.seen is not None and self._tail is not None:
            self._fresh, self._drawn = True, float("-inf")
            self._look_at_once()

    def _make_controls(self) -> None:
        panel = self._panel
        self.head, self.strip, self.said, self.failure = (widgets.HTML() for _ in range(4))
        self.bar = widgets.FloatProgress(min=0, max=1, description="Progress", style=LABEL, layout=WIDE)
        self.stop_button = panel.button("Stop", "stop", self.stop, look="warning")
        self.kill_button = panel.button("Kill…", "kill", self.ask_kill)
        self.resume_button = panel.button("Resume", "resume", self.resume)
        self.confirmation = Confirmation(panel)
        self.picture, self.numbers, self.output = picture(), widgets.HTML(), widgets.HTML()

    def _require(self) -> TrainingState:
        if self.seen is None:
            raise RunError("no training is shown; start one or attach to one")
        return self.seen

    def _end(self, how: How) -> None:
        seen = self._require()
        assert self.watched is not None
        target = load(self.watched) if self.watched.parent.name == FOLDER else self.watched
        if seen.scheduled:
            self._asking.ask(lambda tell: self._ask_scheduler(target, how, tell))
        else:
            self._show_ending(stop(target, how))

    def _ask_scheduler(self, target: Launch | Path, how: How, tell: Tell) -> Show:
        tell(Step("asking the scheduler"))
        said = stop(target, how)
        return lambda: self._show_ending(said)

    def _show_ending(self, said: str) -> None:
        self.said.value = html.paragraph(said, pale=True)
        self._look_at_once()

    def _forget(self, path: Path) -> None:
        """The run was moved or deleted; the panel continues without it."""
        self.watch(None)
        self.head.value = html.paragraph(f"{text.printable(path.name)} no longer exists: it was moved or deleted.")

    def _look_at_once(self) -> None:
        self._looked = float("-inf")
        self._look()

    def _due(self) -> bool:
        seldom = self.seen is not None and (bool(self.seen.sweep) or self.seen.status == "queued")
        return not seldom or self._now() - self._looked >= _SELDOM_SECONDS

    def _read_metrics(self, seen: TrainingState) -> Pace | None:
        if seen.run is None or seen.record is None:
            return None
        path = seen.run / layout.METRICS
        if self._tail is None or self._tail.path != path:
            self._tail = MetricsTail(path)
        self._fresh = self._tail.read() or self._fresh
        return pace(self._tail, seen.record)

    def _show_nothing(self) -> None:
        self.head.value = html.paragraph("Nothing is shown yet: start a training, or attach to one.", pale=True)
        for widget in (self.strip, self.failure, self.numbers, self.output):
            widget.value = ""
        for widget in (self.bar, self._buttons, self.picture, self._log):
            widget.layout.display = "none"
        for button in (self.stop_button, self.kill_button, self.resume_button):
            button.disabled = True

    def _show_state(self, seen: TrainingState, speed: Pace | None) -> None:
        share = _share(seen, speed)
        self.head.value = html.status_line(seen.status, " · ".join(_facts(seen, speed)))
        self.bar.layout.display = None if seen.running or share is not None else "none"
        self._buttons.layout.display = self._log.layout.display = None
        self.bar.value = round(share or 0.0, 3)
        self.strip.value = _strip(seen.sweep, speed.share if speed else None) if seen.sweep else ""
        self.failure.value = html.bounded(html.code(seen.failure)) if seen.failure else ""
        self.stop_button.disabled = self.kill_button.disabled = not seen.running
        self.stop_button.description = "Stop now" if seen.running and seen.asked else "Stop"
        by_command = self.watched is not None and not is_plan(self.watched)  # which can be given again
        self.resume_button.disabled = not (by_command and _can_resume(seen))
        if not seen.running:
            self.confirmation.withdraw()
            self.said.value = ""  # what was done to end it

    def _read_log(self, seen: TrainingState) -> str | None:
        """The newest lines, if it is time for them."""
        if seen.log is None or self._now() - self._logged < _LOG_SECONDS:
            return None
        self._logged = self._now()
        lines = [text.cut(text.printable(line), 200) for line in last_lines(seen.log, _LOG_LINES)]
        return html.bounded(html.code("\n".join(lines)))

    def _draw(self, seen: TrainingState, tell: Tell) -> str | None:
        """Draw if it is time for that; return the numbers under the figure."""
        now, tail = self._now(), self._tail
        share = _REDRAW_SHARE * (now - self._began)
        wait = max(REDRAW_SECONDS, min(share, _SLOWEST_REDRAW_SECONDS)) if seen.running else 0.0
        if tail is None or not self._fresh or now - self._drawn < wait:
            return None
        train, val = tail.lines("train"), tail.lines("val")
        if seen.running and len(train) < _FEWEST_LINES and not val:
            return None
        tell(Step("drawing"))
        words = "Loss, rate and SNR over training steps; the last values are in the table below"
        self._panel.draw(self.picture, lambda: plot_training(train, val), words)
        self._fresh, self._drawn = False, now
        return _numbers(train[-1:], val[-1:])


def _facts(seen: TrainingState, speed: Pace | None) -> list[str]:
    """Text after the badge."""
    facts = [text.printable(seen.name)]
    if seen.sweep:
        facts.append(f"{_finished(seen.sweep)} of {len(seen.sweep)} finished")
    if seen.sweep and seen.run is not None:
        running = any(point.run and point.run.path == seen.run and point.status == "running" for point in seen.sweep)
        if not running:
            doing = "evaluating" if seen.phase == "evaluating" else "preparing the next"
            facts += [doing, *_counted(seen)] if seen.running and not seen.scheduled else []
            facts.append(f"showing {text.printable(layout.short_name(seen.run.name))}")
            return [*facts, *_reason(seen)]
        facts.append(text.printable(layout.short_name(seen.run.name)))
    if seen.phase in _BEFORE_IT_RUNS:
        facts += [*_BEFORE_IT_RUNS[seen.phase], *_counted(seen)]
    return [*facts, *_progress(seen.record, speed), *_reason(seen)]


def _reason(seen: TrainingState) -> list[str]:
    return [text.printable(seen.reason)] if seen.reason else []


def _counted(seen: TrainingState) -> list[str]:
    """How far it is and for how long, as the process has recorded it."""
    if seen.doing is not None:
        step, spent = Step(seen.doing.what, seen.doing.done, seen.doing.of), _seconds_since(seen.doing.since)
        return [f"{step.what} {timing(step, spent, forecast(step, spent))}"]
    told = timing(Step(""), _seconds_since(seen.since), None)
    return [told] if told else []


def _seconds_since(time: str | None) -> float:
    began = clock.from_text(time)
    return 0.0 if began is None else max(0.0, (clock.now() - began).total_seconds())


def _share(seen: TrainingState, speed: Pace | None) -> float | None:
    """Of a run, or of all runs of a sweep."""
    own = speed.share if speed else None
    if not seen.sweep:
        return own
    running = any(point.status == "running" for point in seen.sweep)
    return (_finished(seen.sweep) + (own or 0.0 if running else 0.0)) / len(seen.sweep)


def _finished(points: Sequence[SweepPoint]) -> int:
    return sum(point.status == "finished" for point in points)


def _progress(record: RunRecord | None, speed: Pace | None) -> list[str]:
    if record is None:
        return []
    facts = [f"epoch {record.epoch}/{record.epochs}", f"step {max(record.step, speed.step if speed else 0)}"]
    if speed is not None and speed.steps_per_second and record.exit_code is None:
        facts.append(f"{speed.steps_per_second:.3g} steps/s")
        left = text.duration(speed.seconds_left) if speed.seconds_left is not None else "known after the first epoch"
        facts.append(f"time left {left}")
    return facts


def _can_resume(seen: TrainingState) -> bool:
    if seen.running:
        return False
    if seen.sweep:
        return any(point.status != "finished" and not point.diverged for point in seen.sweep)
    if seen.run is None:
        return seen.status == "stopped"  # before it began: the same command once more
    resumable = seen.status in ("stopped", "crashed", "killed", "stale") and seen.reason != "diverged"
    return resumable and (seen.run / layout.LAST).exists()


def _strip(points: Sequence[SweepPoint], share: float | None) -> str:
    """A badge per run with its progress or its job; of many, those with something to say first."""
    seeds = len({each.seed for each in points}) > 1
    first = sorted(points, key=lambda each: each.status in _PLENTIFUL) if len(points) > _MOST_BADGES else points
    cells = []
    for point in first[:_MOST_BADGES]:
        more = f" {share:.0%}" if point.status == "running" and share is not None else _job(point)
        cells.append((f"λ {text.rate(point.lmbda)}{f' seed {point.seed}' if seeds else ''}", point.status, more))
    left = Counter(each.status for each in first[_MOST_BADGES:])
    told = ", ".join(f"{count:,} {status}" for status, count in left.items())
    return html.badges(cells) + (html.paragraph(f"and {told}", pale=True) if left else "")


def _job(point: SweepPoint) -> str:
    """What a queued run waits for."""
    told = point.job or (point.run.reason if point.run is not None and point.status == "queued" else None)
    return f" {text.printable(told)}" if told else ""


def _numbers(train: Sequence[MetricsLine], val: Sequence[MetricsLine]) -> str:
    """The last values of the curves."""
    ends = [each[0].to_dict() if each else {} for each in (train, val)]
    numbers = [flatten({key: value for key, value in end.items() if key not in _NO_NUMBER}) for end in ends]
    keys = dict.fromkeys(key for each in numbers for key in each)
    shown = [(metric_name(key), *(text.number(each.get(key)) for each in numbers)) for key in keys]
    return html.folded("Numbers", html.table(shown, ("", "last in training", "last in validation")))
