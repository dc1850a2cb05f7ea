"""What all sections of a config have in common, and values that stand for files."""

from __future__ import annotations

import os
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


def _expanded(text: str) -> str:
    """`~` and `$NAME` replaced by what they stand for."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(f'the environment variable {name} is not set, found "{text}"')
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, text))


def _path(text: str) -> str:
    return os.path.abspath(_expanded(text))


def _weights(text: str) -> str:
    """Make a file an absolute path; keep the name of a run or of torchvision weights."""
    text = _expanded(text)
    return os.path.abspath(text) if "/" in text or text.endswith((".pth", ".pt", ".safetensors")) else text


def hub_name(text: str) -> str:
    """A model on the Hub as it is; a folder, which exists or begins like one, as an absolute path."""
    path = _expanded(text)
    return os.path.abspath(path) if path.startswith(("/", "./", "../")) or os.path.isdir(path) else path


def absolute_code(text: str | None) -> str | None:
    """`module:Name` as it is, `file.py:Name` with an absolute path. Raises `ValueError` for anything else."""
    if text is None:
        return None
    where, colon, name = text.rpartition(":")
    if (
        not colon
        or not name.isidentifier()
        or not (where.endswith(".py") or all(map(str.isidentifier, where.split("."))))
    ):
        raise ValueError(f'required module:Name or file.py:Name, such as lab_detectors:Yolox, found "{text}"')
    return f"{_path(where)}:{name}" if where.endswith(".py") else text


# Absolute once loaded, so that a run's config finds its data from any working directory.
FilePath = Annotated[str, AfterValidator(_path)]
Weights = Annotated[str, AfterValidator(_weights)]
