"""Where things are, and what comes with fpnkit."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from fpnkit.config.load import load_config as load
from fpnkit.config.schema import Config
from fpnkit.data.shapes import ShapesSet
from fpnkit.runs import layout


def home() -> Path:
    """`$FPNKIT_HOME`, else the nearest folder above that has `checkpoints/`, else the working directory."""
    return layout.home()


def base_dir() -> Path:
    """The folder that directly holds the runs of codecs, `checkpoints/fpn_compression` of the project."""
    return layout.default_base_dir("fpn_compression")


def load_config(file: str | Path) -> Config:
    """Every setting of a YAML file. Raises `ConfigError` that lists all problems."""
    return load(Path(os.path.expanduser(file)))


def example_image(number: int = 0) -> Tensor:
    """One of the built-in images for `shapes_fcos`, uint8 RGB (3, 192, 192); the same number gives the same image."""
    return ShapesSet(1, number)[0].image
