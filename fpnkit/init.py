"""Begin a project: python -m fpnkit.init FOLDER

Writes configs and notebooks that can be changed, and a place for runs; everything that is started below the folder
finds them. Editors that know yaml-language-server complete the configs' keys and mark mistakes. Nothing is overwritten.
Exit codes: 0 done, 1 failed, 2 the input is wrong.

Examples:
  python -m fpnkit.init pyramids
  # beside a project that exists already
  python -m fpnkit.init ~/detector/compression
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fpnkit import cli
from fpnkit.config.keys import json_schema
from fpnkit.errors import UserError
from fpnkit.foundation.files import make_directory, storage_error
from fpnkit.foundation.shipped import SHIPPED, shipped

_FILES = {"configs": ("**/*.yaml",), "notebooks": ("*.ipynb", "onnx_detector.py", "stand_in.py")}
_SCHEMA = Path("configs", "fpnkit.schema.json")
_NEXT = """\
{folder}: {configs} configs and {notebooks} notebooks. Next:
  cd {folder}
  fpnkit train --config configs/train_fused_fpn.yaml     # built-in images and detector, a few minutes
  fpnkit evaluate run_
  jupyter lab notebooks/00_tour.ipynb                    # needs pip install "fpnkit[notebooks]"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(_parser(), arguments, lambda options, session: _begin(options.folder))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.init", __doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="created if missing")
    return parser


def _begin(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: required a folder or nothing, found a file")
    taken = [name for name in SHIPPED if (folder / name).exists()]
    if taken:
        raise UserError(f"{folder}: required no {' and no '.join(SHIPPED)} in it, found {' and '.join(taken)}")
    make_directory(folder)
    try:
        counts = _copy(folder)
    except OSError as error:
        for name in SHIPPED:
            shutil.rmtree(folder / name, ignore_errors=True)
        raise storage_error(folder, error) from error
    print(_NEXT.format(folder=folder, **counts), end="")


def _copy(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in SHIPPED:
        source = shipped(name)
        files = [file for pattern in _FILES[name] for file in sorted(source.glob(pattern))]
        for file in files:
            target = folder / name / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            if file.suffix == ".yaml":
                _point_to_schema(target, folder)
        counts[name] = sum(file.match(_FILES[name][0]) for file in files)
    (folder / _SCHEMA).write_text(json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n")
    (folder / "checkpoints").mkdir(exist_ok=True)
    return counts


def _point_to_schema(config: Path, folder: Path) -> None:
    schema = Path(os.path.relpath(folder / _SCHEMA, config.parent)).as_posix()
    config.write_text(f"# yaml-language-server: $schema={schema}\n{config.read_text()}")


if __name__ == "__main__":
    sys.exit(main())
