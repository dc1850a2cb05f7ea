"""Measure the alternatives to a learned codec: python -m fpnkit.anchors --config FILE

Codes the test images of a training config as JPEG, WebP, AVIF, JPEG XL, HEVC and VVC, their features with Zstandard,
HEVC and VVC, and the detector's boxes, at several qualities each, and measures them the same way as learned codecs.
Results go to checkpoints/anchors/<dataset>_<detector>/<key>/<codec>/<quality>/, where the key identifies data, detector
and encoder; existing results are not measured again, and an interrupted measurement continues. Many images are measured
by as many processes as there are cores, whose number changes no result. Exit codes: 0 done, 1 failed, 2 the input is
wrong, 130 interrupted.

Examples:
  # all of them, on the images that the codec of this config is measured on
  python -m fpnkit.anchors --config configs/train_fused_fpn.yaml
  python -m fpnkit.anchors --config configs/example_sweep.yaml --only jpeg_input avif_input --qualities 20 50 80
  # two of them without gaps where the accuracy falls; what would be measured is said first by --dry-run
  python -m fpnkit.anchors --config configs/train_fused_fpn.yaml --only hevc_input vvc_input --fill
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fpnkit import cli
from fpnkit.anchors.catalogue import ANCHORS, Anchor, AnchorRecipe, Fit, missing_encoders, require_qualities, select
from fpnkit.anchors.fill import HIGHEST, LOWEST, MOST_ROUNDS, WIDEST, Missing, direction, missing, share_of
from fpnkit.config.load import load_config
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import ConfigError, UserError
from fpnkit.foundation.files import to_json
from fpnkit.foundation.tables import print_rows
from fpnkit.runs import layout
from fpnkit.runs.results import Part, Summary, read_summary

if TYPE_CHECKING:
    import torch

    from fpnkit.anchors.boxes import SeenBoxes
    from fpnkit.anchors.reduced import Reduction
    from fpnkit.data.images import ImageSet
    from fpnkit.detectors.base import Detector
    from fpnkit.evaluation.run import Job
    from fpnkit.pyramid import PyramidSpec

log = logging.getLogger("fpnkit.anchors")  # the module's name is `__main__` when it runs as a command

Point: TypeAlias = tuple[Anchor, int]  # and a quality

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
    device = cli.measuring_device(options)
    if options.dry_run:
        _look(config, points, fill=options.fill)
        if options.json:
            print("[]")
        return
    _measure(config, points, device, options)


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
    parser.add_argument(
        "--fill",
        action="store_true",
        help=f"then measures what is missing between {100 * LOWEST:.0f} and {100 * HIGHEST:.0f} %% of the ceiling, "
        f"until no two points are more than {100 * WIDEST:.0f} %% of it apart",
    )
    cli.add_device(parser)
    cli.add_spreading(parser)
    cli.add_json(parser)
    cli.add_dry_run(parser)
    cli.add_settings(parser, text="sets a key, such as data.test.limit=20")
    return parser


def _points(anchors: Sequence[Anchor], qualities: Sequence[int]) -> list[Point]:
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


def _look(config: CodecConfig, points: Sequence[Point], *, fill: bool) -> None:
    """Opens all that the measurement needs; with `fill`, says what it would measure by what there is."""
    from fpnkit.evaluation.task import key_of, open_task

    detector, measured = open_task(config)
    if fill:
        name = f"{measured.images.name}_{detector.name}"
        place = Place(name, key_of(config, detector, measured), detector.spec, _fit(config, detector))
        for anchor, group in itertools.groupby(points, key=lambda point: point[0]):
            there = place.measured(anchor) if place.may_hold(anchor) else {}
            lacking = [str(quality) for _, quality in group if quality not in there]
            if lacking:
                log.info("%s: not measured yet: %s", anchor.name, " ".join(lacking))
            else:
                _say(anchor, _lacking(anchor, {(anchor, quality): each for quality, each in there.items()}))
    log.info("%s", cli.NOTHING_MEASURED)


def _measure(config: CodecConfig, points: Sequence[Point], device: torch.device, options: argparse.Namespace) -> None:
    from fpnkit.evaluation.run import evaluate  # torch only after the arguments have been checked
    from fpnkit.evaluation.task import build_task

    task = build_task(config, device=device, workers=options.workers)
    place = Place(task.folder_name, task.key, task.detector.spec, _fit(config, task.detector))

    def measure(those: Sequence[Point]) -> list[Summary]:
        jobs = [place.job(*point) for point in those]
        return evaluate(jobs, task, workers=options.workers, keep_streams=options.keep_streams)

    found = dict(zip(points, measure(points), strict=True))
    if options.fill:
        found = _filled(found, place, measure)
    summaries = list(found.values())
    if options.json:
        print(json.dumps([to_json(asdict(summary)) for summary in summaries], indent=1, allow_nan=False))
        return
    parts = task.parts
    print_rows((*_HEADER, *(f"{part} mAP" for part in parts)), [_row(summary, parts) for summary in summaries])
    ceiling = task.reference.ceiling
    known = [f"mAP {_percent(ceiling.map)}", f"mAP50 {_percent(ceiling.map50)}"]
    known += [f"{part} mAP {_percent(getattr(ceiling, f'{part}_map'))}" for part in parts]
    print(f"{len(task.images)} images; without compression {', '.join(known)}")


def _filled(
    found: Mapping[Point, Summary], place: Place, measure: Callable[[Sequence[Point]], list[Summary]]
) -> dict[Point, Summary]:
    """With what was measured before, and what is missing then, lowest rate first."""
    anchors = list(dict.fromkeys(anchor for anchor, _ in found))
    known = {(anchor, quality): each for anchor in anchors for quality, each in place.measured(anchor).items()}
    unfinished = anchors
    for number in range(MOST_ROUNDS + 1):
        lacking = {anchor: _lacking(anchor, known) for anchor in unfinished}
        for anchor, those in lacking.items():
            _say(anchor, those, measured=number < MOST_ROUNDS)
        unfinished = [anchor for anchor, those in lacking.items() if those]
        if not unfinished or number == MOST_ROUNDS:
            break
        more = [(anchor, each.quality) for anchor in unfinished for each in lacking[anchor]]
        known |= dict(zip(more, measure(more), strict=True))
    order = sorted(known, key=lambda point: (anchors.index(point[0]), direction(point[0]) * point[1]))
    return {point: known[point] for point in order}


def _lacking(anchor: Anchor, known: Mapping[Point, Summary]) -> list[Missing]:
    return missing(anchor, {quality: share_of(each) for (of, quality), each in known.items() if of is anchor})


def _say(anchor: Anchor, lacking: Sequence[Missing], *, measured: bool = True) -> None:
    for each in lacking:
        what = f"{each.quality}" if measured else f"{each.quality} is left out after {MOST_ROUNDS} rounds"
        log.info("%s: %s: %s", anchor.name, each.reason, what)
    if not lacking:
        log.info("%s: nothing is missing", anchor.name)


def _fit(config: CodecConfig, detector: Detector) -> Fit:
    """Measures on the training images, each once."""

    def images() -> ImageSet:
        from fpnkit.data.build import build_image_sets

        return build_image_sets(config.data, config.seed)[0]

    @functools.cache
    def reduction() -> Reduction:
        from fpnkit.anchors.reduced import fit_reduction
        from fpnkit.evaluation.recipes import reproducible

        log.info("measuring the features' channels on training images")
        with reproducible():
            return fit_reduction(detector, images())

    @functools.cache
    def boxes() -> SeenBoxes:
        from fpnkit.anchors.boxes import see_boxes
        from fpnkit.evaluation.recipes import reproducible

        log.info("detecting on training images")
        with reproducible():
            return see_boxes(detector, images())

    return Fit(reduction, boxes)


@dataclass(frozen=True)
class Place:
    """Where results go."""

    folder_name: str  # `<dataset>_<detector>`
    key: str  # of the data and the detector
    spec: PyramidSpec
    fit: Fit

    def job(self, anchor: Anchor, quality: int) -> Job:
        """One measurement."""
        from fpnkit.evaluation.run import Job, Origin

        coder = anchor.build(quality, self.spec, self.fit)
        directory = self._folder(anchor, coder.encoder) / str(quality)
        return Job(coder, directory, Origin(quality=quality, encoder=coder.encoder), recipe=AnchorRecipe(coder))

    def may_hold(self, anchor: Anchor) -> bool:
        """Whether there are results of any version of its encoder; to know the version may take a fit."""
        return any(self._all.glob(f"*/{anchor.name}/*/{layout.SUMMARY}"))

    def measured(self, anchor: Anchor) -> dict[int, Summary]:
        """By quality, with this version of the encoder."""
        encoder = anchor.build(anchor.qualities[0], self.spec, self.fit).encoder
        done = [path.parent for path in self._folder(anchor, encoder).glob(f"*/{layout.SUMMARY}")]
        return {int(directory.name): read_summary(directory) for directory in done if directory.name.isdecimal()}

    @property
    def _all(self) -> Path:
        return layout.home() / "checkpoints" / "anchors" / self.folder_name

    def _folder(self, anchor: Anchor, encoder: str) -> Path:
        return self._all / hashlib.sha256(f"{self.key} {encoder}".encode()).hexdigest()[:8] / anchor.name


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
