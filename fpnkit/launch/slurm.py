"""Jobs of Slurm: a job array with one task per command, or a single one.

A task runs `fpnkit.launch.slurm_task`, which starts the command, passes signals on, and goes on with its run when the
job is requeued.
"""

from __future__ import annotations

import functools
import getpass
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fpnkit.errors import RunError, UserError
from fpnkit.foundation import clock, slurm
from fpnkit.foundation.processes import host_name
from fpnkit.foundation.redact import Redactor
from fpnkit.launch.protocol import How, Launch

Options = Mapping[str, str | int | bool]

_MOST_NAMED = 5
# A step, because a job that is to be preempted is told of it only there; it has all that the job has.
_STEP = (
    *("--nodes=1", "--ntasks=1", '--cpus-per-task="$SLURM_CPUS_ON_NODE"'),
    *("--mpi=none", "--input=none", "--unbuffered", "--quiet"),
)
_TASK = "fpnkit.launch.slurm_task"
_SIGNAL = "USR1@90"  # before the time limit; a step and saving the state have to fit in
_SIGNALS: Mapping[How, str | None] = {"graceful": "INT", "now": None, "kill": "KILL"}
_DEFAULTS: Options = {"job-name": "fpnkit", "signal": _SIGNAL, "requeue": True}
_OURS = [
    "array",
    "chdir",
    "dependency",
    "error",
    "help",
    "input",
    "open-mode",
    "output",
    "parsable",
    "quiet",
    "test-only",
    "usage",
    "version",
    "wait",
    "wrap",
]


@dataclass(frozen=True, kw_only=True)
class SlurmLaunch(Launch):
    """A job, or a task of a job array."""

    launcher = "slurm"
    scheduled = True

    user: str
    job: str  # its id; empty for the moment between writing this and submitting

    @property
    def label(self) -> str:
        """`job <id>`."""
        return f"job {self.job}"

    @property
    def here(self) -> bool:
        """Whether the scheduler answers here, and to the user whose job it is."""
        return self.user == _user() and slurm.answers()

    def lives(self) -> bool:
        """Whether it waits or runs; False if the scheduler does not answer."""
        found = self._found()
        return found is not None and found.lives

    @property
    def begun(self) -> bool:
        """Whether the scheduler says that it runs."""
        found = self._found()
        return found is not None and found.lives and not found.waits

    @property
    def waits(self) -> str | None:
        """What the scheduler says while its command has not begun."""
        if not self.here:  # a machine without Slurm, to which runs were copied, has nothing to wait for
            return f"{self.label}: the scheduler does not answer" if slurm.is_here() else None
        found = self._found()
        return found.told if found is not None and found.lives else None

    @property
    def why_ended(self) -> str | None:
        """Such as `time limit`."""
        why = slurm.why_ended(self.job, self.log)
        return None if why is None else f"{self.label}: {why}"

    def end(self, how: How) -> str:
        """Cancel it while it waits; else ask its command, or kill it."""
        found = self._found()
        if found is None or not found.lives:
            raise RunError(f"{self.label}: is not in the queue")
        try:
            if found.waits:
                slurm.cancel(self.job)
                return f"cancelled {self.label}, which had not begun"
            slurm.cancel(self.job, signal=_SIGNALS[how])
        except slurm.SchedulerError as error:
            raise RunError(f"{self.label}: cannot be ended: {error}") from error
        return f"killed {self.label}" if how == "kill" else f"asked {self.label} to stop"

    def _found(self) -> slurm.Job | None:
        return slurm.find(self.job) if self.user == _user() else None


@functools.cache
def _user() -> str:
    return getpass.getuser()


def end_all(launches: Sequence[SlurmLaunch], how: How) -> str:
    """End each as `SlurmLaunch.end` does, with few questions to the scheduler. Raises `RunError`."""
    state = [(each.job, each.begun) for each in launches]
    begun, waiting = ([job for job, has_begun in state if has_begun == wanted] for wanted in (True, False))
    done = []
    try:
        if waiting:  # first, so that none takes the place of one that ends
            slurm.cancel(*waiting)
            done.append(f"cancelled {_counted(waiting)} that had not begun")
        if begun:
            slurm.cancel(*begun, signal=_SIGNALS[how])
            done.append(f"killed {_counted(begun)}" if how == "kill" else f"asked {_counted(begun)} to stop")
    except slurm.SchedulerError as error:
        raise RunError(f"{_counted([*waiting, *begun])}: cannot be ended: {error}") from error
    return "; ".join(done)


def _counted(jobs: Sequence[str]) -> str:
    shown = f"{', '.join(jobs[:_MOST_NAMED])}{', …' if len(jobs) > _MOST_NAMED else ''}"
    return f"job {shown}" if len(jobs) == 1 else f"{len(jobs):,} jobs ({shown})"


def flags(options: Options) -> list[str]:
    """Arguments of sbatch. Raises `UserError` for keys that are set here."""
    given = {key.replace("_", "-"): value for key, value in options.items()}
    if wrong := [key for key in given if key in _OURS]:
        raise UserError(f"slurm.{wrong[0]}: is set by fpnkit itself; required other options of sbatch")
    if given.get("no-requeue"):
        given["requeue"] = False
    whole = {**_DEFAULTS, **given}
    shown = {key: value for key, value in whole.items() if value is not False}
    return [f"--{key}" if value is True else f"--{key}={value}" for key, value in shown.items()]


def require_accepted(options: Options) -> None:
    """Let Slurm check the options. Raises `UserError` with its words, or `SchedulerError`."""
    slurm.require_accepted(_script([]), flags(options))


def submit_array(
    commands: Sequence[Sequence[str]],
    log: Path,
    options: Options,
    *,
    at_once: int | None = None,
    after: Sequence[str] = (),
) -> list[SlurmLaunch]:
    """Submit one task per command, `at_once` of them at a time, to begin when the jobs `after` have ended.

    `log` is a new name in the folder of launches; the tasks' names derive from it. Raises `UserError` with Slurm's
    words, `SchedulerError` or `StorageError`, and then nothing is submitted and nothing is left.
    """
    for argv in commands:
        if tuple(Redactor(os.environ, argv).arguments(argv)) != tuple(argv):
            raise UserError("a job keeps its command in a file: required none that names a secret")
    stem = log.with_suffix("")
    launches = [_launch(stem.with_name(f"{stem.name}t{task}.json"), argv) for task, argv in enumerate(commands)]
    throttle = "" if at_once is None else f"%{at_once}"
    pattern = str(stem.with_name(f"{stem.name}t")).replace("%", "%%") + "%a.log"
    own = [f"--array=0-{len(commands) - 1}{throttle}", f"--output={pattern}", "--open-mode=append"]
    if after:
        own.append(f"--dependency=afterany:{':'.join(after)}")
    try:
        for launch in launches:
            launch.write()
        array = slurm.submit(_script(launches), [*flags(options), *own])
    except BaseException:
        for launch in launches:
            launch.file.unlink(missing_ok=True)
        raise
    submitted = [replace(launch, job=f"{array}_{task}") for task, launch in enumerate(launches)]
    for launch in submitted:
        launch.write()
    return submitted


def array_of(job: str) -> str:
    """The id of the whole array that a task belongs to."""
    return job.partition("_")[0]


def _launch(file: Path, argv: Sequence[str]) -> SlurmLaunch:
    return SlurmLaunch(
        file=file,
        argv=tuple(argv),
        cwd=os.getcwd(),
        started=clock.to_text(clock.now()),
        host=host_name(),
        user=_user(),
        job="",
    )


def _script(launches: Sequence[SlurmLaunch]) -> str:
    files = "\n".join(f"  {shlex.quote(str(launch.file))}" for launch in launches)
    task = shlex.join([sys.executable, "-u", "-m", _TASK])
    step = f"srun {' '.join(_STEP)} {task}"
    return f'#!/bin/bash\ntasks=(\n{files}\n)\nexec {step} "${{tasks[$SLURM_ARRAY_TASK_ID]}}"\n'
