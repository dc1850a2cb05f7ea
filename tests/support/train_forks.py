"""Real trainings of a tiny codec, each in a process of its own that is forked here, so that torch is loaded once.

python -m tests.support.train_forks FOLDER

Reads lines from stdin: `SECONDS new` or `SECONDS resume RUN`, where 0 is never and others are when to kill -9. Prints
`run PATH`, `line SPLIT EPOCH STEP` after each line of metrics is written, and `end REASON`, if the process gets that
far; `gone` when it is.
"""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine
from fpnkit.runs.writer import RunWriter
from fpnkit.torch_files import load_checkpoint
from fpnkit.training.loop import train
from fpnkit.training.tally import Tally
from tests.support import tiny

SETTINGS = tiny.config(epochs=4, log_every=1, save_every_seconds=0.02)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Telling(RunWriter):
    def metric(self, line: MetricsLine) -> None:
        super().metric(line)
        say("line", line.split, line.epoch, line.step)


class Slow:
    """Steps that take a moment, so that a kill can meet any part of the loop."""

    def __init__(self, learner: tiny.CodecLearner) -> None:
        self._learner = learner

    def __getattr__(self, name: str) -> object:
        return getattr(self._learner, name)

    def step(self, epoch: int, index: int, lr: float) -> Tally:
        time.sleep(0.01)
        return self._learner.step(epoch, index, lr)


def work(folder: Path, what: str) -> None:
    learner = tiny.learner(SETTINGS, folder)
    if what == "new":
        tiny.RunWriter = Telling
        run, state = tiny.run(SETTINGS, folder), None
    else:
        path = Path(what.removeprefix("resume "))
        state = load_checkpoint(path / layout.LAST, "last")
        run = Telling.resume(path, argv=["train"])
    say("run", run.path)
    outcome = train(Slow(learner), run, SETTINGS.training, resume=state)
    run.end(outcome.reason, 0)
    say("end", outcome.reason)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    tiny.learner(SETTINGS, folder)  # fills the cache of features
    say("ready")
    while order := sys.stdin.readline().strip():
        seconds, what = order.split(" ", 1)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(folder, what)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        if float(seconds):
            time.sleep(float(seconds))
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        say("gone")


if __name__ == "__main__":
    main()
