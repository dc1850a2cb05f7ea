"""A trainer without training, for tests that need a real process.

python fake_trainer.py create BASE | resume RUN   [--lines N] [--seconds-a-line S] [--end CODE REASON] [--secret …]

Prints the run directory, then `line N` after each metrics line, then lives until it is killed or, with --end, ends.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from fpnkit.foundation import clock
from fpnkit.foundation.process_record import Reporter
from fpnkit.runs.metrics import MetricsLine
from fpnkit.runs.record import ConfigSummary
from fpnkit.runs.writer import RunWriter

SUMMARY = ConfigSummary(2.5e-4, 5e-5, 4, "factorized", "shapes_fcos", "shapes", 0)


def line(step: int, epoch: int = 0) -> MetricsLine:
    return MetricsLine(clock.to_text(clock.now()), "train", epoch, step, 1.0 / (step + 1), snr_db={"p2": 3.0})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["create", "resume"])
    parser.add_argument("where", type=Path)
    parser.add_argument("--lines", type=int, default=3)
    parser.add_argument("--heartbeat", type=float, default=0.2)
    parser.add_argument("--fork", action="store_true", help="have a worker that outlives the trainer")
    parser.add_argument("--end", nargs=2, metavar=("CODE", "REASON"))
    options, _ = parser.parse_known_args()
    argv = sys.orig_argv
    beat = options.heartbeat
    if options.what == "create":
        run = RunWriter.create(
            options.where,
            kind="fpn_compression",
            config_yaml="seed: 0\n",
            summary=SUMMARY,
            epochs=5,
            argv=argv,
            heartbeat_seconds=beat,
        )
    else:
        run = RunWriter.resume(options.where, argv=argv, heartbeat_seconds=beat)
    if options.fork and os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    Reporter().tell(run=str(run.path))
    print(run.path, flush=True)
    for step in range(options.lines):
        run.metric(line(step))
        run.progress(0, step)
        print("line", step, flush=True)
    if options.end:
        run.end(options.end[1], int(options.end[0]))
        return
    while not run.stop_requested():
        time.sleep(0.02)
    run.end("STOP file", 130)


if __name__ == "__main__":
    main()
