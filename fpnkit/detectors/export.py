"""The weights of a trained detector as safetensors: python -m fpnkit.detectors.export RUN FILE.safetensors

Such a file needs no unpickling and includes the categories. The weights in the package were made with it.

Examples:
  python -m fpnkit.detectors.export 20261216_143022 shapes_fcos.safetensors
  python -m fpnkit.detectors.export ~/weights/retinanet_epoch_26.pth retinanet.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from fpnkit.detectors.weights import find_weights, read_weights
from fpnkit.errors import FpnkitError
from fpnkit.foundation.files import write_bytes
from fpnkit.foundation.help import described_parser


def export(weights: Path, target: Path) -> None:
    """Write the tensors of a checkpoint and its categories."""
    file = read_weights(weights)
    categories = json.dumps([[category.id, category.name] for category in file.categories])
    tensors = {name: tensor.contiguous() for name, tensor in file.state.items()}
    write_bytes(target, save(tensors, metadata={"categories": categories}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        export(find_weights(options.run, []), options.target)
    except FpnkitError as error:
        print(f"fpnkit.detectors.export: {error}", file=sys.stderr)
        return error.exit_code
    print(options.target)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = described_parser("python -m fpnkit.detectors.export", __doc__ or "")
    parser.add_argument("run", metavar="RUN", help="a run under checkpoints/detection, or a checkpoint file")
    parser.add_argument("target", metavar="FILE.safetensors", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
