"""Try a detector before it is trusted: python -m fpnkit.detectors check --config FILE

Runs the detector of a config on images of its data: the two halves in batches of one and of many, geometry, boxes,
scores, classes, fingerprint, and the speed of each part. What fails says what was required and what was found. `-o`
draws the boxes. Exit codes: 0 in order, 1 something failed, 2 the input is wrong.

Examples:
  python -m fpnkit.detectors check --config configs/train_fused_nanodet_coco.yaml
  # more images, and a picture of what is found in the first
  python -m fpnkit.detectors check --config configs/train_fused_fpn.yaml --images 8 -o boxes.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit import cli
from fpnkit.config.load import load_config
from fpnkit.errors import ConfigError, FpnkitError, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from fpnkit.detectors.base import Detector
    from fpnkit.detectors.check import Report

_IMAGES = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, lambda options, session: _check(options))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.detectors", __doc__)
    parser.add_argument("action", choices=["check"])
    parser.add_argument("--config", metavar="FILE", required=True, help="YAML with the detector and data")
    parser.add_argument("--images", metavar="N", type=int, default=_IMAGES, help=f"how many (default: {_IMAGES})")
    parser.add_argument("-o", "--output", metavar="PNG", type=Path, help="draw what is found in the first image")
    cli.add_settings(parser)
    return parser


def _check(options: argparse.Namespace) -> int:
    if options.images < 1:
        raise ConfigError([f"--images: required at least 1, found {options.images}"])
    if options.output is not None and not options.output.absolute().parent.is_dir():
        raise UserError(f"-o {options.output}: required a directory that exists, found no {options.output.parent}")
    config = load_config(options.config, cli.overrides(options))
    from fpnkit.data.build import build_image_set
    from fpnkit.detectors.build import build_detector
    from fpnkit.detectors.check import check_detector

    images = build_image_set(config.data.test or config.data.train)
    count = min(options.images, len(images))
    pixels = [images[index * len(images) // count].image for index in range(count)]
    detector = build_detector(config.detector)
    report = check_detector(detector, pixels)
    print(report, flush=True)
    if options.output is not None and report.found:
        _draw(detector, report, pixels[0], options.output)
    return 0 if report.ok else FpnkitError.exit_code


def _draw(detector: Detector, report: Report, image: Tensor, path: Path) -> None:
    from fpnkit.api.features import Objects
    from fpnkit.api.pictures import plot_boxes

    one = report.found[0]
    names = tuple(detector.class_names.get(label, f"class {label}") for label in one.labels.tolist())
    plot_boxes(image, Objects(one.boxes, one.scores, one.labels, names)).save(path)
    print(f"picture: {path}")


if __name__ == "__main__":
    sys.exit(main())
