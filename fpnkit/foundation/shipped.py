"""Configs and notebooks that come with fpnkit: beside the package in a checkout, inside it where it was installed."""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parents[1]

Shipped = Literal["configs", "notebooks"]
SHIPPED: tuple[Shipped, ...] = ("configs", "notebooks")


def shipped(name: Shipped) -> Path:
    """The folder."""
    inside = _PACKAGE / "shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def usual(home: Path, name: Shipped) -> Path:
    """The folder of a project, where it has one, else the one that comes with fpnkit."""
    own = home / name
    return own if own.is_dir() else shipped(name)
