"""What a job of Slurm runs: python -m fpnkit.launch.slurm_task FILE

FILE is what `slurm.submit_array` wrote. The command's end is the job's. A signal before the time limit, or before the
job is preempted, lets a training finish its step and save; then the job is requeued, and goes on in the same run
directory. A job that is cancelled saves as well. Slurm signals all processes of a job, so SIGTERM and SIGINT reach the
command by themselves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import cast

from fpnkit.errors import RunError
from fpnkit.foundation import slurm
from fpnkit.foundation.process_record import record_environment
from fpnkit.launch.launchers import load, run_of
from fpnkit.launch.local import command
from fpnkit.launch.protocol import TRAIN
from fpnkit.launch.slurm import SlurmLaunch
from fpnkit.runs import layout
from fpnkit.runs.job import SchedulerJob, job_environment
from fpnkit.runs.record import read_record

_STOPPED = 130
_UNKNOWN = (signal.SIGUSR1, signal.SIGUSR2)  # to the command, which they would end
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *_UNKNOWN)
_DEAF = (  # runs first in the process of the command
    "import os, signal, sys",
    *(f"signal.signal({int(number)}, signal.SIG_IGN)" for number in _UNKNOWN),
    "os.execv(sys.argv[1], sys.argv[1:])",
)


@dataclass
class Task:
    """The command of one job."""

    launch: SlurmLaunch
    process: subprocess.Popen[bytes] | None = None
    asked: signal.Signals | None = None  # the first that arrived

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Remember it, and pass on what the command does not know."""
        if self.asked is None:
            self.asked = signal.Signals(number)
            say(f"{self.launch.label}: {self.asked.name}")
            if self.asked in _UNKNOWN and self.process is not None:
                self.process.terminate()

    def run(self) -> int:
        """Run the command to its end."""
        for number in _SIGNALS:
            signal.signal(number, self.receive)
        job = SchedulerJob(self.launch.job, str(self.launch.log))
        environment = {**record_environment(self.launch.record), **_threads(), **job_environment(job)}
        argv = [sys.executable, "-ISc", "; ".join(_DEAF), *self.launch.argv]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environment)
        if self.asked is not None:  # while it was being started, so that it may not have heard it
            self.process.terminate()
        return self.process.wait()


def main(arguments: Sequence[str]) -> int:
    """Run the task and return its exit code."""
    launch = cast(SlurmLaunch, load(Path(arguments[0])))
    launch = replace(launch, job=slurm.own_job() or launch.job)
    run = run_of(launch) or _to_resume(launch)
    if run is not None and (run / layout.STOP).exists():
        say(f"{launch.label}: there is a file {run / layout.STOP}; it does not go on")
        return _STOPPED
    if launch.module == TRAIN and run is not None and (run / layout.LAST).exists():
        launch = replace(launch, argv=tuple(command(["--resume", str(run)])))
        say(f"{launch.label}: goes on with {run}")
    elif run is not None:  # of an attempt that did not come as far as saving
        (run / layout.JOB).unlink(missing_ok=True)
    launch.write()
    before = _step(run)
    task = Task(launch)
    code = task.run()
    if code in (_STOPPED, -signal.SIGTERM, -signal.SIGINT) and task.asked is not None and _comes_back(task, before):
        say(f"{launch.label}: requeued, it goes on from step {_step(run_of(launch))}")
        slurm.requeue(launch.job)
    return code if code >= 0 else 128 - code


def _to_resume(launch: SlurmLaunch) -> Path | None:
    argv = launch.argv
    return Path(argv[argv.index("--resume") + 1]) if "--resume" in argv else None


def _comes_back(task: Task, before: int) -> bool:
    """Whether Slurm wants its resources back, nobody has asked it to stop, and requeuing helps."""
    label, run = task.launch.label, run_of(task.launch)
    slurm.ask_again()
    found = slurm.find(task.launch.job)
    if task.asked == signal.SIGINT or found is None or found.state != "RUNNING":
        return False
    if run is not None and (run / layout.STOP).exists():
        return False
    if task.launch.module == TRAIN and int(os.environ.get("SLURM_RESTART_COUNT", 0)) and _step(run) <= before:
        say(f"{label}: not requeued: it came no step further since it began; it needs a longer time limit")
        return False
    return True


def _step(run: Path | None) -> int:
    try:
        return 0 if run is None else read_record(run).step
    except RunError:
        return 0


def _threads() -> dict[str, str]:
    """As many as the job has cores: Slurm need not bind it to them."""
    cores = os.environ.get("SLURM_CPUS_ON_NODE")
    return {} if cores is None or "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": cores}


def say(line: str) -> None:
    """For people, into the job's output."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} fpnkit: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
