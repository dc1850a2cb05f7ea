"""Measure the alternatives to a learned codec: python -m fpnkit.anchors --config FILE

Codes the test images of a training config as JPEG, WebP, AVIF, JPEG XL, HEVC and VVC, and their features with
Zstandard, HEVC and VVC, at several qualities each, and measures them the same way as learned codecs. Results go to
checkpoints/anchors/<dataset>_<detector>/<key>/<codec>/<quality>/, where the key identifies data, detector and encoder;
existing results are not measured again, and an interrupted measurement continues. Exit codes: 0 done, 1 failed, 2 the
input is wrong, 130 interrupted.

Examples:
  # all of them, on the images that the codec of this config is measured on
  python -m fpnkit.anchors --config configs/train_fused_fpn.yaml
  python -m fpnkit.anchors --config configs/example_sweep.yaml --only jpeg_input avif_input --qualities 20 50 80
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fpnkit import cli
from fpnkit.anchors.catalogue import ANCHORS, Anchor, Fit, missing_encoders, require_qualities, select
from fpnkit.config.load import load_config
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import ConfigError, UserError
from fpnkit.foundation.files import to_json
from fpnkit.foundation.tables import print_rows
from fpnkit.runs import layout

if TYPE_CHECKING:
    from fpnkit.anchors.reduced import Reduction
    from fpnkit.evaluation.run import Job
    from fpnkit.evaluation.task import Task
    from fpnkit.runs.results import Part, Summary

log = logging.getLogger("fpnkit.anchors")  # the module's name is `__main__` when it runs as a command

_HEADER = ("codec", "quality", "bpp", "KB/image", "mAP", "mAP50", "self-mAP", "of ceiling")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, _run, interrupted=cli.GOES_ON)


def _run(options: argparse.Namespace, session: cli.Session) -> None:
    points = _points(select(options.only), options.qualities)
    config = load_config(options.config, cli.overrides(options))
    if not isinstance(config, CodecConfig):
        raise ConfigError([f"{options.config}: task: required fpn_compression, found {config.task}"])
    session.report.tell(phase="evaluating")
    if options.dry_run:
        from fpnkit.evaluation.task import open_task

        open_task(config)
        log.info("%s", cli.NOTHING_MEASURED)
        if options.json:
            print("[]")
        return
    _measure(config, points, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.anchors", __doc__)
    parser.add_argument("--config", metavar="FILE", required=True, help="of a codec's training; see configs/")
    names = ", ".join(anchor.name for anchor in ANCHORS)
    parser.add_argument(
        "--only", metavar="NAME", nargs="+", default=[], help=f"of {names}; or groups such as jpeg, input, features"
    )
    parser.add_argument(
        "--qualities", metavar="Q", nargs="+", type=int, default=[], help="instead of each anchor's own list"
    )
    cli.add_json(parser)
    cli.add_dry_run(parser)
    cli.add_settings(parser, text="sets a key, such as data.test.limit=20")
    return parser


def _points(anchors: Sequence[Anchor], qualities: Sequence[int]) -> list[tuple[Anchor, int]]:
    """Every anchor available on this machine, at each quality."""
    for anchor in anchors:
        require_qualities(anchor, qualities)
    missing = missing_encoders(anchors)
    left_out = [name for names in missing.values() for name in names]
    possible = [anchor for anchor in anchors if anchor.name not in left_out]
    if not possible:
        raise UserError("\n".join(missing))
    for what, names in missing.items():
        log.warning("left out: %s (%s)", ", ".join(names), what, extra={"kind": "left_out"})
    return [(anchor, quality) for anchor in possible for quality in dict.fromkeys(qualities or anchor.qualities)]


def _measure(config: CodecConfig, points: Sequence[tuple[Anchor, int]], *, as_json: bool) -> None:
    from fpnkit.evaluation.run import evaluate  # torch only after the arguments have been checked
    from fpnkit.evaluation.task import build_task

    task = build_task(config)
    fit = _fit(config, task)
    summaries = evaluate([_job(anchor, quality, task, fit) for anchor, quality in points], task)
    if as_json:
        print(json.dumps([to_json(asdict(summary)) for summary in summaries], indent=1, allow_nan=False))
        return
    parts = task.parts
    print_rows((*_HEADER, *(f"{part} mAP" for part in parts)), [_row(summary, parts) for summary in summaries])
    ceiling = task.reference.ceiling
    known = [f"mAP {_percent(ceiling.map)}", f"mAP50 {_percent(ceiling.map50)}"]
    known += [f"{part} mAP {_percent(getattr(ceiling, f'{part}_map'))}" for part in parts]
    print(f"{len(task.images)} images; without compression {', '.join(known)}")


def _fit(config: CodecConfig, task: Task) -> Fit:
    """Measures a reduction of the features' channels on the training images, once."""

    @functools.cache
    def fit() -> Reduction:
        from fpnkit.anchors.reduced import fit_reduction
        from fpnkit.data.build import build_image_sets

        images, _ = build_image_sets(config.data, config.seed)
        log.info("measuring the features' channels on training images")
        return fit_reduction(task.detector, images)

    return fit


def _job(anchor: Anchor, quality: int, task: Task, fit: Fit) -> Job:
    from fpnkit.evaluation.run import Job, Origin

    coder = anchor.build(quality, task.detector.spec, fit)
    key = hashlib.sha256(f"{task.key} {coder.encoder}".encode()).hexdigest()[:8]
    folder = layout.home() / "checkpoints" / "anchors" / task.folder_name / key / anchor.name / str(quality)
    return Job(coder, folder, Origin(quality=quality, encoder=coder.encoder))


def _row(summary: Summary, parts: Sequence[Part]) -> list[str]:
    s = summary
    share = "" if s.share_of_ceiling is None else f"{100 * s.share_of_ceiling:.0f} %"
    more = [_percent(getattr(s, f"{part}_map")) for part in parts]
    rates = [f"{s.quality:g}", f"{s.bpp:.4f}", f"{s.kb_per_image:.2f}"]
    return [s.codec, *rates, _percent(s.map), _percent(s.map50), _percent(s.self_map), share, *more]


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
