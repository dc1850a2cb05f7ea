"""Measure trained codecs with real bitstreams: python -m fpnkit.evaluate RUN…

Codes the test images of each run's config into files, reads them back, decodes, runs the detector's heads, and writes
RUN/evaluation/<dataset>/<checkpoint>/. Existing results are not measured again; an interrupted evaluation continues.
Everything runs on the CPU, whatever device the run was trained on. Exit codes: 0 done, 1 failed, 2 the input is wrong,
130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit import cli
from fpnkit.config.load import plain
from fpnkit.runs import layout
from fpnkit.runs.results import FEWEST_IMAGES, NO_INTERVAL, Summary
from fpnkit.runs.trained import TrainedRun, find_candidates

if TYPE_CHECKING:
    from fpnkit.evaluation.run import Job
    from fpnkit.evaluation.task import Task

log = logging.getLogger("fpnkit.evaluate")  # the module's name is `__main__` when it runs as a command

_OVERRIDABLE = ("data", "detector")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, _evaluate_all, interrupted=cli.GOES_ON)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.evaluate", __doc__)
    parser.add_argument("runs", metavar="RUN", nargs="+", help=cli.RUN)
    cli.add_base_dir(parser)
    cli.add_settings(parser, text="other data, such as data.test.limit=20")
    return parser


def _evaluate_all(options: argparse.Namespace, session: cli.Session) -> None:
    candidates = find_candidates(options.runs, options.base_dir, options.set, _OVERRIDABLE)
    from fpnkit.evaluation.run import evaluate  # torch only after the arguments have been checked
    from fpnkit.evaluation.task import build_task

    groups: dict[str, list[TrainedRun]] = {}
    for candidate in candidates:
        config = plain(candidate.config)
        groups.setdefault(str((config["detector"], config["data"]["test"])), []).append(candidate)
    session.report.tell(phase="evaluating")
    for group in groups.values():
        task = build_task(group[0].config)
        jobs = [_job(candidate, task) for candidate in group]
        for candidate, summary in zip(group, evaluate(jobs, task), strict=True):
            print(_describe(candidate.path, summary), flush=True)


def _job(candidate: TrainedRun, task: Task) -> Job:
    from fpnkit.codecs.learned import LearnedCoder
    from fpnkit.codecs.saved import load_codec
    from fpnkit.evaluation.run import Job, Origin

    path = candidate.path
    trained = load_codec(path / layout.BEST_MODEL)
    trained.require_detector(f"run {path}", task.detector.name, task.detector.fingerprint())
    log.info("run %s: best model of epoch %d, hash %s", path.name, trained.epoch, trained.hash)
    directory = layout.evaluation_directory(path, task.images.name, trained.hash)
    origin = Origin(path.name, trained.hash, trained.epoch, lmbda=trained.config.loss.lmbda)
    return Job(LearnedCoder(trained), directory, origin, trained.codec.standardiser.variance())


def _describe(path: Path, summary: Summary) -> str:
    """The result in a few lines, with the smallest difference that means something."""
    s = summary
    directory = layout.evaluation_directory(path, s.dataset, str(s.checkpoint), s.quality)
    lines = [
        f"{s.run} on {s.dataset} ({s.images} images): {directory}",
        f"  rate      {s.bpp:.4f} bpp of file bytes, {s.kb_per_image:.2f} KB per image"
        + (f"; estimated {s.bpp_estimated:.4f}, headers {s.bpp_header:.4f} bpp" if s.bpp_estimated is not None else ""),
        f"  SNR       {', '.join(f'{level} {value:.1f} dB' for level, value in s.snr_db.items())}",
    ]
    if s.map is not None and s.map50 is not None:
        lines.append(
            f"  mAP       {100 * s.map:.1f}{_range(s.map_interval)}, mAP50 {100 * s.map50:.1f}; "
            f"ceiling {_percent(s.ceiling.map)} and {_percent(s.ceiling.map50)}"
        )
    if s.self_map is not None:
        lines.append(f"  self-mAP  {100 * s.self_map:.1f}{_range(s.self_map_interval)}")
    if s.share_of_ceiling is not None:
        lines.append(f"  reaches   {100 * s.share_of_ceiling:.1f} % of the ceiling")
    lines.append(
        f"  takes     {1000 * s.encode_seconds:.0f} ms to encode, {1000 * s.decode_seconds:.0f} ms to decode an image; "
        f"{s.peak_memory_mb:.0f} MB at most"
    )
    if s.flagged_images:
        lines.append(
            f"  warning: payloads of {s.flagged_images} images are further from the estimate than 1 % + 8 bytes"
        )
    if s.map_interval is not None:
        points = 50 * (s.map_interval[1] - s.map_interval[0])
        lines.append(
            f"  {s.images} images: mAP is known to ±{points:.1f} points (95 %); a smaller difference may be chance"
        )
    elif s.images < FEWEST_IMAGES:
        lines.append(f"  {NO_INTERVAL}")
    return "\n".join(lines)


def _range(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
