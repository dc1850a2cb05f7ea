"""Detector weights: find the file a setting refers to, read it safely, load it strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os.path import expanduser
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fpnkit.data.images import Category
from fpnkit.errors import RunError, WeightsError
from fpnkit.foundation.files import parse_json
from fpnkit.runs.layout import default_base_dir, find_run
from fpnkit.torch_files import read_torch_file

SCHEMA_VERSION = 1  # of checkpoints; a newer one is refused
_SUFFIXES = (".pth", ".pt", ".safetensors")
_COUNTER = "num_batches_tracked"  # of BatchNorm; frozen BatchNorm lacks it and evaluation ignores it


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a weight file, and what the file says about their training."""

    path: Path
    state: dict[str, Tensor]
    categories: tuple[Category, ...] = ()
    trained_as: Mapping[str, Any] = field(default_factory=dict)  # the section `detector` of the run's configuration


def find_weights(text: str, names: Iterable[str] = ()) -> Path:
    """The file that `text` refers to: a path, or the best checkpoint of a run under checkpoints/detection.

    A path with a weight file suffix is returned unchecked; `read_weights` checks it. `names` are other values the
    caller accepts, for the message.
    """
    path = Path(expanduser(text))
    if path.suffix in _SUFFIXES or path.is_file():
        return path
    base_dir = default_base_dir("detection")
    try:
        return find_run(text, base_dir) / "best_model.pth"
    except RunError as error:
        choices = [*names, f"a file ({', '.join(_SUFFIXES)})"]
        raise WeightsError(
            f"weights `{text}`: required {', '.join(choices)} or a run under {base_dir}; found none of them: {error}"
        ) from None


def read_weights(path: Path) -> WeightFile:
    """Read a state dict, bare or inside a checkpoint; no code in the file is ever executed."""
    file = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    others = [f"`{key}`" for key, value in file.state.items() if not isinstance(value, Tensor)]
    if others or not file.state:
        found = f"a dictionary with other entries: {_few(others)}" if others else "an empty dictionary"
        raise WeightsError(
            f"{path}: required a state dict of tensors, bare or under `state_dict` or `model`; found {found}"
        )
    return file


def load_strictly(module: nn.Module, file: WeightFile, detector: str) -> None:
    """Load every tensor of `file` into `module`; raise `WeightsError` that lists what does not fit.

    BatchNorm counters may be missing or extra, so that frozen and trainable BatchNorm can read the same files.
    """
    own = module.state_dict()
    state = {key: value for key, value in file.state.items() if key in own or not key.endswith(_COUNTER)}
    shapes = [key for key, value in state.items() if key in own and own[key].shape != value.shape]
    try:
        # Not strict here: torchvision's modules rename keys of old files while loading, so only they can compare.
        result = module.load_state_dict({key: state[key] for key in state if key not in shapes}, strict=False)
    except RuntimeError as error:  # a shape under an old name
        raise WeightsError(f"{file.path} does not fit {detector}: {' '.join(str(error).split())}") from None
    missing = [key for key in result.missing_keys if key not in shapes and not key.endswith(_COUNTER)]
    problems = [
        _counted(len(missing), "missing", missing),
        _counted(len(result.unexpected_keys), "unexpected", result.unexpected_keys),
        _counted(
            len(shapes),
            "of another shape",
            [f"{key} required {_shape(own[key])}, found {_shape(state[key])}" for key in shapes],
        ),
    ]
    if any(problems):
        raise WeightsError(f"{file.path} does not fit {detector}: " + "; ".join(text for text in problems if text))


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise WeightsError(f"{path}: required a weight file, found nothing") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: required a safetensors file; it cannot be read as one: {error}") from None
    categories = metadata.get("categories", "[]")
    try:
        pairs = parse_json(categories)
    except ValueError:
        pairs = categories
    return WeightFile(path, state, _categories(path, pairs))


def _read_pickle(path: Path) -> WeightFile:
    content = read_torch_file(path)
    _check_kind(path, content)
    state = next((content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), content)
    config = content.get("config")
    trained_as = config.get("detector", {}) if isinstance(config, Mapping) else {}
    return WeightFile(path, dict(state), _categories(path, content.get("categories", [])), trained_as)


def _check_kind(path: Path, content: Mapping[str, Any]) -> None:
    kind, version = content.get("kind", "detection"), content.get("schema_version", SCHEMA_VERSION)
    if kind != "detection":
        raise WeightsError(f"{path}: required a checkpoint of a detector, found one of kind `{kind}`")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise WeightsError(
            f"{path}: required a checkpoint of schema_version {SCHEMA_VERSION} or older, found {version}; update fpnkit"
        )


def _categories(path: Path, pairs: Iterable[Any]) -> tuple[Category, ...]:
    try:
        return tuple(Category(int(number), str(name)) for number, name in pairs)
    except (TypeError, ValueError):
        raise WeightsError(f"{path}: `categories`: required a list of [id, name], found {f'{pairs!r}'[:100]}") from None


def _counted(count: int, what: str, names: list[str]) -> str:
    return f"{count} key{'s' * (count != 1)} {what} ({_few(names)})" if count else ""


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
