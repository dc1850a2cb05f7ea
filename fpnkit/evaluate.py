"""Measure trained codecs with real bitstreams: python -m fpnkit.evaluate RUN…

Codes the test images of each run's config into files, reads them back, decodes, runs the detector's heads, and writes
RUN/evaluation/<dataset>/<checkpoint>/, with a directory for each quality of a codec of several rates. Existing results
are not measured again; an interrupted evaluation continues. Many images are measured by as many processes as there are
cores, whose number changes no result. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted.

Examples:
  # a run, found by the time in its name; all whole qualities if it has several
  python -m fpnkit.evaluate 20261216_143022
  python -m fpnkit.evaluate 20261216_143022 --qualities 0 2.5 5 --search 24
  # what has finished of a sweep
  python -m fpnkit.evaluate --sweep example_sweep_1f7a09c2
  # a first look at two runs, on 50 images of COCO
  python -m fpnkit.evaluate 143022 090000 --set data.test.limit=50
  # all of COCO on a GPU, without its coded files
  python -m fpnkit.evaluate 143022 --device cuda --workers 4 --keep-streams none
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpnkit import cli
from fpnkit.config.load import plain
from fpnkit.errors import RunError, UserError
from fpnkit.foundation.callable_module import make_callable
from fpnkit.foundation.files import to_json
from fpnkit.foundation.text import printable
from fpnkit.launch.sweep import sweep_state
from fpnkit.runs.results import FEWEST_IMAGES, NO_INTERVAL, PARTS, Part, Summary
from fpnkit.runs.trained import find_candidates

if TYPE_CHECKING:
    from fpnkit.evaluation.models import Model
    from fpnkit.evaluation.task import Task

log = logging.getLogger("fpnkit.evaluate")  # the module's name is `__main__` when it runs as a command

_OVERRIDABLE = ("data", "detector")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, _evaluate_all, interrupted=cli.GOES_ON)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.evaluate", __doc__)
    parser.add_argument("runs", metavar="RUN", nargs="*", help=cli.RUN)
    parser.add_argument("--sweep", metavar="ID", help="the finished runs of a sweep")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--qualities", metavar="Q", nargs="+", type=float, help="of codecs of several rates (default: all whole ones)"
    )
    which.add_argument(
        "--target-bpp",
        metavar="X",
        type=cli.positive,
        help="the highest quality at which the set has this rate or less",
    )
    cli.add_search(parser)
    cli.add_device(parser)
    cli.add_spreading(parser)
    cli.add_json(parser)
    cli.add_dry_run(parser)
    cli.add_base_dir(parser)
    cli.add_settings(parser, text="other data, such as data.test.limit=20")
    return parser


def _evaluate_all(options: argparse.Namespace, session: cli.Session) -> None:
    candidates = find_candidates(_runs(options), options.base_dir, options.set, _OVERRIDABLE)
    wanted = [(each, each.chosen(options.qualities)) for each in candidates]
    if options.target_bpp is not None:
        for each in candidates:
            each.require_curve("--target-bpp")
    from fpnkit.evaluation.models import load_model  # torch only after the arguments have been checked
    from fpnkit.evaluation.run import evaluate
    from fpnkit.evaluation.task import build_task, open_task

    device = cli.measuring_device(options)
    groups: dict[str, list[tuple[Model, list[float | None]]]] = {}
    for candidate, qualities in wanted:
        config = plain(candidate.config)
        key = str((config["detector"], config["data"]["test"]))
        groups.setdefault(key, []).append((load_model(candidate, options.search, device), qualities))
    session.report.tell(phase="evaluating")
    measured: list[dict[str, Any]] = []
    if options.dry_run:
        for group in groups.values():
            detector, _ = open_task(group[0][0].config)
            for model, _ in group:
                model.require_detector(detector)
        log.info("%s", cli.NOTHING_MEASURED)
        groups.clear()
    for group in groups.values():
        task = build_task(group[0][0].config, device=device, workers=options.workers)
        jobs = []
        for model, qualities in group:
            chosen = qualities if options.target_bpp is None else [_at_target(model, task, options)]
            jobs += [model.job(task, quality) for quality in chosen]
        found = evaluate(jobs, task, workers=options.workers, keep_streams=options.keep_streams)
        for job, summary in zip(jobs, found, strict=True):
            measured.append({"directory": str(job.directory), **to_json(asdict(summary))})
            if not options.json:
                print(_describe(job.directory, summary), flush=True)
    if options.json:
        print(json.dumps(measured, indent=1, allow_nan=False))


def _runs(options: argparse.Namespace) -> list[str]:
    if options.sweep is None:
        if not options.runs:
            raise UserError("required RUN…, or --sweep ID")
        return list(options.runs)
    if options.runs:
        raise UserError(f"--sweep {options.sweep}: required no RUN beside it, found {options.runs[0]}")
    state = sweep_state(cli.base_dir(options), options.sweep)
    finished = [str(point.run.path) for point in state if point.run is not None and point.status == "finished"]
    if not finished:
        raise RunError(f"sweep {options.sweep}: required a finished run, found none of {len(state)}")
    return finished


def _at_target(model: Model, task: Task, options: argparse.Namespace) -> float:
    """The quality to measure, which is told."""
    from fpnkit.evaluation.target import quality_of_set

    found = quality_of_set(task, model, options.target_bpp)
    if not options.json:
        told = f"quality {found.quality:g} has {found.rate:.4f} bpp, at most {options.target_bpp:g}"
        print(f"{model.path.name}: {told}", flush=True)
    return found.quality


def _describe(directory: Path, summary: Summary) -> str:
    """The result in a few lines, with the smallest difference that means something."""
    s = summary
    quality = "" if s.quality is None else f"{s.codec} at quality {s.quality:g}, "
    lines = [
        f"{s.run} on {s.dataset} ({quality}{s.images} images): {directory}",
        f"  rate      {s.bpp:.4f} bpp of file bytes, {s.kb_per_image:.2f} KB per image"
        + (f"; estimated {s.bpp_estimated:.4f}, headers {s.bpp_header:.4f} bpp" if s.bpp_estimated is not None else ""),
        f"  SNR       {', '.join(f'{level} {value:.1f} dB' for level, value in s.snr_db.items())}",
    ]
    if s.map is not None and s.map50 is not None:
        lines.append(
            f"  mAP       {100 * s.map:.1f}{_range(s.map_interval)}, mAP50 {100 * s.map50:.1f}; "
            f"ceiling {_percent(s.ceiling.map)} and {_percent(s.ceiling.map50)}"
        )
    lines += [line for part in PARTS if (line := _of_part(s, part))]
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
    return "\n".join(map(printable, lines))  # the set may be called anything


def _of_part(summary: Summary, part: Part) -> str | None:
    keys = "map", "map_interval", "share_of_ceiling"
    found, bounds, share = (getattr(summary, f"{part}_{key}") for key in keys)
    if found is None:
        return None
    reached = "" if share is None else f", {100 * share:.1f} % of it"
    ceiling = _percent(getattr(summary.ceiling, f"{part}_map"))
    return f"  {part} mAP  {100 * found:.1f}{_range(bounds)}; ceiling {ceiling}{reached}"


def _range(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}"


make_callable(__name__, "fpnkit.api.commands:evaluate")

if __name__ == "__main__":
    sys.exit(main())
