"""What to train: a config, settings that override it, and the resulting command line."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets

from fpnkit.config.flags import FLAGS
from fpnkit.config.schema import CodecConfig, Config
from fpnkit.errors import ConfigError, FpnkitError
from fpnkit.foundation import slurm, text
from fpnkit.foundation.process_record import ProcessRecord, read_process_record, record_environment
from fpnkit.foundation.steps import Step, Tell
from fpnkit.launch.local import command
from fpnkit.launch.needs import needs
from fpnkit.launch.output import last_lines
from fpnkit.launch.protocol import SWEEP
from fpnkit.launch.request import Request, make_request
from fpnkit.launch.sweep import SweepPoint, new_sweep
from fpnkit.runs.store import list_runs
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel
from fpnkit.widgets.common.work import Show

_OUTPUT, _RECORD = "output", "record.json"
_LOOK_SECONDS, _LONGEST_LINE = 0.2, 100  # while a check runs
_LABELS = {"--lr": "Learning rate", "--batch-size": "Batch size", "--epochs": "Epochs"}
_HERE, _SLURM = "This machine", "Slurm"
_SLURM_LABELS = {"partition": "Partition", "time": "Time limit", "gpus": "GPUs"}  # by sbatch's option


class SetupView(widgets.VBox):
    """`request` is the request in the controls; None while something is wrong, which is shown below them."""

    def __init__(self, panel: Panel, folder: Path, base_dir: Path | None, changed: Callable[[], None]) -> None:
        self._panel, self._changed = panel, changed
        self.checking = panel.work("check")
        self._folder, self._base_dir = folder, base_dir
        self.request: Request | None = None
        self._read_stamp: tuple[int, int] | None = None  # of the config when it was read
        self._make_controls()
        check = panel.button("Check first", "check", self.start_check, tip="python -m fpnkit.train --dry-run")
        self.check_button, self.checked = check, widgets.HTML()
        fields = widgets.HBox([self.lambdas, *self.flags.values(), self.jobs], layout={"flex_flow": "row wrap"})
        choice = widgets.HBox([self.config, self.reload_button])
        super().__init__([choice, fields, self._places, self.more, self.problems, self.command])

    def list_configs(self) -> None:
        """Look for configs again and keep the selection. Raises ConfigError if there are none."""
        files = sorted(self._folder.rglob("*.yaml"), key=lambda file: (len(file.parts), str(file)))
        options = [(text.printable(file.relative_to(self._folder)), file) for file in files]
        self._files.replace(options, otherwise=files[0] if files else None)
        self.read()
        if not files:
            raise ConfigError([f"{self._folder}: required a folder with configs (*.yaml), found none"])

    def read(self) -> None:
        """Read the controls, or report what is wrong."""
        self.request, told = None, ""
        self._read_stamp = _stamp(self.config.value)
        lambdas = re.findall(r"[^,;\s]+", self.lambdas.value)
        flags = {flag: field.value.strip() or None for flag, field in self.flags.items()}
        self.jobs.disabled = len(lambdas) < 2
        jobs, slurm_options = self.jobs.value.strip() or None, self._slurm_options()
        for field in self.slurm.values():
            field.layout.display = "none" if slurm_options is None else None
        self.jobs.placeholder = "1" if slurm_options is None else "all"
        settings = [line.strip() for line in self.more.value.splitlines() if line.strip()]
        if self.config.value is not None:
            try:
                self.request = make_request(
                    self.config.value, lambdas, flags, settings, self._base_dir, jobs, slurm_options
                )
            except FpnkitError as error:
                told = html.problem(str(error))
        if self.request is not None:
            self._hint(self.request.config)
        self.problems.value = told
        self._show_command()
        self.check_button.disabled = self.request is None
        if self.checking.busy:  # of other settings
            self.checking.ask(lambda tell: None)
        self.checked.value = ""
        self._changed()

    def start_check(self) -> None:
        """Run the command as a dry run in the background, and show its output."""
        if self.request is None:
            raise ConfigError(["cannot check: the settings are incomplete"])
        request, self.checked.value = self.request, ""
        self.checking.ask(lambda tell: self._check(request, tell))

    def _check(self, request: Request, tell: Tell) -> Show:
        code, said, record = _dry_run(request, tell)
        lines = [said.rstrip(), *_demand(request, record.parameters)] if code == 0 else [said.rstrip()]
        title = "✔ everything is in order" if code == 0 else "✖ it would fail to start"
        if code == 0 and record.warnings:
            count = len(record.warnings)
            title = f"⚠ it would start, with {count} warning{'' if count == 1 else 's'}"

        def show() -> None:
            self.checked.value = html.paragraph(title) + html.bounded(html.code("\n".join(lines)))

        return show

    def update(self) -> None:
        """Reread a config that changed or disappeared."""
        if _stamp(self.config.value) != self._read_stamp:
            self.read()

    def _make_controls(self) -> None:
        self.config = widgets.Dropdown(description="Config", style=LABEL, layout=WIDE)
        self._files = Choices(self._panel, self.config, "read the config", self.read)
        self.reload_button = self._panel.button("Refresh", "list configs", self.list_configs, tip="Look for configs")
        self.lambdas = self._field("Lambda, or several")
        self.flags = {flag: self._field(label) for flag, label in _LABELS.items()}
        self.jobs = self._field("At a time")
        self.jobs.tooltip = "Trainings of a sweep side by side: a number, or auto"
        self.where = widgets.Dropdown(options=(_HERE, _SLURM), description="Where", style=LABEL)
        self.where.layout = {"width": "auto", "flex": "1 1 180px"}
        self.slurm = {option: self._field(label) for option, label in _SLURM_LABELS.items()}
        self._places = widgets.HBox([self.where, *self.slurm.values()], layout={"flex_flow": "row wrap"})
        self._places.layout.display = None if slurm.is_here() else "none"
        self.more = widgets.Textarea(description="Other settings", style=LABEL, layout=WIDE, rows=2)
        self.more.placeholder = "key.path=value, one per line, such as training.crop=128"
        for control in (self.lambdas, *self.flags.values(), self.jobs, self.where, *self.slurm.values(), self.more):
            self._panel.on(control, "read the settings", self.read)
        self.problems = widgets.HTML()
        self.command = widgets.Textarea(description="Command", style=LABEL, layout=WIDE, rows=2)
        self._panel.on(self.command, "show the command", self._show_command)

    def _field(self, label: str) -> widgets.Text:
        return widgets.Text(description=label, style=LABEL, layout={"width": "auto", "flex": "1 1 180px"})

    def _slurm_options(self) -> list[str] | None:
        """What `--slurm` is to say; None for a training on this machine."""
        if self.where.value == _HERE:
            return None
        given = ((option, field.value.strip()) for option, field in self.slurm.items())
        return [f"{option}={value}" for option, value in given if value]

    def _show_command(self) -> None:
        """Show the command; edits in this field are undone, because it is only for copying."""
        self.command.value = "" if self.request is None else self.request.command

    def _hint(self, config: Config) -> None:
        """The value used if the field is empty."""
        codec = isinstance(config, CodecConfig)
        self.lambdas.disabled = not codec
        self.lambdas.placeholder = f"{config.loss.lmbda:g}" if isinstance(config, CodecConfig) else "codecs only"
        for flag, field in self.flags.items():
            field.placeholder = f"{getattr(config.training, FLAGS[flag][-1]):g}"
        for option, field in self.slurm.items():
            field.placeholder = str(config.slurm.get(option, "Slurm's default"))


def _stamp(file: Path | None) -> tuple[int, int] | None:
    """Changes when the file changes; None if there is none."""
    try:
        stat = os.stat(file) if file is not None else None
    except OSError:
        return None
    return None if stat is None else (stat.st_mtime_ns, stat.st_size)


def _demand(request: Request, parameters: int | None) -> list[str]:
    """Disk and time of one run; a sweep reports them itself, and what only asks Slurm knows no size."""
    if request.module == SWEEP or parameters is None or not isinstance(request.config, CodecConfig):
        return []
    lmbda, seed = request.config.loss.lmbda, request.config.seed
    sweep = new_sweep(Path(request.arguments[1]), request.config, [lmbda], [seed])
    runs = list_runs(request.base_dir) if request.base_dir.exists() else []
    point = SweepPoint(lmbda, seed, None, "missing")
    return needs(sweep, [point], runs, request.base_dir, parameters).describe()


def _dry_run(request: Request, tell: Tell) -> tuple[int, str, ProcessRecord]:
    """Exit code, output and facts. The process ends when `tell` raises."""
    step = Step("checking data, detector and disk", kind=("check", request.module, request.arguments))
    with tempfile.TemporaryDirectory(prefix="fpnkit-") as name, open(Path(name) / _OUTPUT, "wb") as output:
        folder = Path(name)
        process = subprocess.Popen(
            command([*request.arguments, "--dry-run"], request.module),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=record_environment(folder / _RECORD),
        )
        try:
            while process.poll() is None:
                newest = "".join(last_lines(folder / _OUTPUT, 1)).strip()
                tell(replace(step, detail=f"… {text.cut(text.printable(newest), _LONGEST_LINE)}"))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_SECONDS)
        finally:
            process.kill()
            process.wait()
        said, record = (folder / _OUTPUT).read_text("utf-8", "replace"), read_process_record(folder / _RECORD)
    return process.returncode, said, record
