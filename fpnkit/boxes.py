"""From a coded file to what the detector finds in it: python -m fpnkit.boxes RUN FILE.fpn… -o boxes.json

Decodes `.fpn` files with the run's best model and runs the detector's heads. The output is a results file in COCO
format, in which an image's id is its place on the command line, or, for one file, a picture (.png): the boxes on the
image that --image names, or on a blank one. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted.

Examples:
  python -m fpnkit.boxes 20261216_143022 coded/*.fpn -o boxes.json
  # the boxes of one file, drawn on the image that it was made of
  python -m fpnkit.boxes 20261216_143022 coded/a.fpn --image a.jpg -o a.png
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit import cli
from fpnkit.container import naming, read_file
from fpnkit.errors import UserError
from fpnkit.foundation.files import write_text

if TYPE_CHECKING:
    from fpnkit.api.features import FeaturePyramid, Objects

_TABLE, _PICTURE = ".json", ".png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli.log_to_terminal()
    return cli.run(_parser(), arguments, lambda options, session: _boxes(options))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.boxes", __doc__)
    parser.add_argument("run", metavar="RUN", help=cli.RUN)
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="of `bitstream encode`")
    parser.add_argument("-o", "--output", metavar="F", type=Path, required=True, help=".json, or .png for one file")
    parser.add_argument("--image", metavar="IMAGE", type=Path, help="to draw on")
    parser.add_argument("--score", metavar="X", type=float, default=0.5, help="draw those with at least this score")
    cli.add_max_values(parser)
    cli.add_base_dir(parser)
    return parser


def _boxes(options: argparse.Namespace) -> None:
    _check(options)
    for path in options.files:
        read_file(path)  # before the detector is loaded
    from fpnkit.api.runs import find  # torch only after the arguments have been checked

    run = find(options.run, options.base_dir)
    detector, codec = run.detector(), run.codec()
    entries = []
    for number, path in enumerate(options.files):
        with naming(path):
            pyramid = codec.decode(path.read_bytes(), max_values=options.max_values)
        found = detector.detect(pyramid)
        print(f"{path}: {found}", flush=True)
        entries += _entries(number, path, found)
    if options.output.suffix == _TABLE:
        write_text(options.output, json.dumps(entries, indent=1) + "\n")
    else:
        _draw(options, pyramid, found)
    print(options.output)


def _check(options: argparse.Namespace) -> None:
    output: Path = options.output
    if output.suffix not in (_TABLE, _PICTURE):
        raise UserError(
            f"-o {output}: required a name that ends with {_TABLE} or {_PICTURE}, found {output.suffix or 'none'}"
        )
    if not output.absolute().parent.is_dir():
        raise UserError(f"-o {output}: required a directory that exists, found no {output.parent}")
    if output.suffix == _PICTURE and len(options.files) > 1:
        raise UserError(f"-o {output}: required one FILE for a picture, found {len(options.files)}")


def _entries(number: int, path: Path, found: Objects) -> list[dict[str, object]]:
    """As in COCO's results files, with names for people."""
    parts = zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), found.names, strict=True)
    return [
        {
            "image_id": number,
            "file_name": path.name,
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
            "category_id": label,
            "category": name,
        }
        for (left, top, right, bottom), score, label, name in parts
    ]


def _draw(options: argparse.Namespace, pyramid: FeaturePyramid, found: Objects) -> None:
    import numpy as np

    from fpnkit.api.images import to_rgb
    from fpnkit.api.pictures import plot_boxes

    size = pyramid.geometry.original
    image = np.full((*size, 3), 255, np.uint8) if options.image is None else to_rgb(options.image)
    shape = image.shape[:2] if options.image is None else image.shape[1:]
    if tuple(shape) != size:
        raise UserError(
            f"--image {options.image}: required the coded image's {size[1]} x {size[0]} pixels, "
            f"found {shape[1]} x {shape[0]}"
        )
    plot_boxes(image, found, score=options.score).save(options.output)


if __name__ == "__main__":
    sys.exit(main())
