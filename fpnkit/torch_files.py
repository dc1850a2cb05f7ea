"""Reading files that torch wrote, without ever running code that stands in them."""

from __future__ import annotations

import pickletools
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fpnkit.errors import WeightsError


def read_torch_file(path: Path) -> dict[str, Any]:
    """The dictionary in a `.pth` file, on the CPU; raises `WeightsError`: missing, empty, torn, code in it, none."""
    if not path.is_file():
        raise WeightsError(f"{path}: required a weight file, found {'a folder' if path.is_dir() else 'nothing'}")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path}: required a weight file, found an empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that torch did not write; what matters is said below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        if name is None and not _is_plain_pickle(path):
            raise _not_weights(path) from None
        what = f" (`{name[1]}`)" if name else ""
        raise WeightsError(
            f"{path}: required a file of tensors; it is a pickle with code or objects in it{what}, which is refused; "
            "nothing of it was executed. Save only the module's state_dict()"
        ) from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception:  # torch raises whatever its readers stumble over: KeyError, EOFError, RuntimeError …
        raise _not_weights(path) from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: required a dictionary, found a {type(content).__name__}")
    return dict(content)


def _is_plain_pickle(path: Path) -> bool:
    """Whether the bytes are a pickle; they are looked at, not followed."""
    try:
        with path.open("rb") as file:
            return all(True for _ in pickletools.genops(file))
    except Exception:  # whatever bytes of something else lead to
        return False


def _not_weights(path: Path) -> WeightsError:
    return WeightsError(f"{path}: required a weight file of torch's; it is none, or is torn")
