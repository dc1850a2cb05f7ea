"""Checkpoints and weight files, read without ever running code in them."""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fpnkit.errors import WeightsError
from fpnkit.foundation.files import write_bytes

SCHEMA_VERSION = 1  # of checkpoints
_LARGEST_GROWTH = 2  # of a file's bytes as its records are read


def read_torch_file(path: Path) -> dict[str, Any]:
    """The dictionary in a `.pth` file, on the CPU.

    Raises `WeightsError` if the file is missing, empty, damaged, contains code, would take far more memory than it has
    bytes, or is something else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: required a weight file, found {'a folder' if path.is_dir() else 'nothing'}")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path}: required a weight file, found an empty file")
    _require_stored(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles not written by torch; what matters is reported below
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
    except Exception:  # torch raises whatever its readers run into: KeyError, EOFError, RuntimeError …
        raise _not_weights(path) from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: required a dictionary, found a {type(content).__name__}")
    _require_plain(path, content)
    return dict(content)


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Save completely or not at all: serialized in memory first, so that a full disk only costs the new file."""
    write_bytes(path, checkpoint_bytes(content))


def checkpoint_bytes(content: Mapping[str, Any]) -> bytes:
    """The bytes of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save({"schema_version": SCHEMA_VERSION, **content}, buffer)
    return buffer.getvalue()


def load_checkpoint(path: Path, kind: str) -> dict[str, Any]:
    """An fpnkit checkpoint of a `kind`; code in it is refused, not run."""
    content = read_torch_file(path)
    found = content.get("kind")
    if not isinstance(found, str) or found != kind:
        known = found if isinstance(found, str) and found else "something else"
        raise WeightsError(f"{path}: required a checkpoint of kind {kind}, found {known}")
    version = content.get("schema_version")
    if type(version) is not int:
        raise WeightsError(f"{path}: required a schema version, found {shown(version)}")
    if version > SCHEMA_VERSION:
        raise WeightsError(
            f"{path}: required schema version {SCHEMA_VERSION} or older, found {version}; "
            "it was written by a newer fpnkit"
        )
    return content


def _require_stored(path: Path) -> None:
    """torch writes records without compression; two megabytes of compressed ones can be two gigabytes of zeros."""
    try:
        with zipfile.ZipFile(path) as file:
            found = sum(record.file_size for record in file.infolist())
    except Exception:  # no such file, or none that torch can read either; the old format has no records
        return
    size = path.stat().st_size
    if found > _LARGEST_GROWTH * size:
        raise WeightsError(f"{path}: required records that are stored as they are, found {found} bytes in {size}")


def _require_plain(path: Path, content: object) -> None:
    """Raise `WeightsError` for a tensor whose numbers do not all stand in the file, or are no real numbers."""
    waiting, seen = [content], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, torch.Tensor):
            if not _is_plain(each):
                raise WeightsError(
                    f"{path}: required tensors of real numbers that all stand in it, found {_kind(each)}"
                )
        elif isinstance(each, Mapping | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, Mapping) else each


def _is_plain(tensor: torch.Tensor) -> bool:
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_nested
    numbers = not tensor.is_quantized and not tensor.is_complex()
    return dense and numbers and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _kind(tensor: torch.Tensor) -> str:
    kind = "nested" if tensor.is_nested else f"{list(tensor.shape)}"
    return f"{kind} of {tensor.dtype}, {tensor.layout}, on {tensor.device}"


def _is_plain_pickle(path: Path) -> bool:
    """Whether the bytes are a pickle; they are parsed, not executed."""
    try:
        with path.open("rb") as file:
            return all(True for _ in pickletools.genops(file))
    except Exception:  # whatever other bytes lead to
        return False


def _not_weights(path: Path) -> WeightsError:
    return WeightsError(f"{path}: required a weight file of torch's; it is none, or is torn")


def shown(value: object) -> str:
    """In a message, whatever a file has in that place."""
    return repr(value)[:100] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
