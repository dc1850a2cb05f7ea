"""Checkpoints that somebody changed: what is in them, and the bytes of their files."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_VALUES: list[Any] = [
    *(None, True, -1, 0, 10**30, 0.5, float("nan"), float("inf"), "", "text", b"bytes", [], [1, "a"], {}, {"a": 1}),
    *(torch.zeros(0), torch.zeros(1), torch.full((3,), float("nan")), torch.zeros(2, 2, dtype=torch.int64)),
]


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (self._path,)  # type: ignore[return-value]


def changed(content: dict[str, Any], generator: random.Random, marker: Path) -> bytes:
    """The file of a copy of the content with one or two faults; `marker` is made by code in it that runs."""
    content = _copy(content)
    for _ in range(generator.randint(1, 2)):
        _spoil(content, generator)
    kind = generator.random()
    if kind < 0.1:
        place, key = generator.choice(list(_places(content)))
        place[key] = Code(marker)
        content = place if generator.random() < 0.2 else content
    if kind < 0.05:
        return pickle.dumps(content)
    buffer = io.BytesIO()
    torch.save([content] if kind > 0.98 else content, buffer)
    return _damaged(buffer.getvalue(), generator) if 0.1 < kind < 0.25 else buffer.getvalue()


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Containers with their keys, at any depth."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _spoil(content: dict[str, Any], generator: random.Random) -> None:
    places = list(_places(content))
    if not places:
        return
    tensors = [(place, key) for place, key in places if isinstance(place[key], Tensor)]
    others = [(place, key) for place, key in places if not isinstance(place[key], Tensor)] or places
    if tensors and generator.random() < 0.5:
        place, key = generator.choice(tensors)
        place[key] = generator.choice(_TENSORS)(place[key].clone(), generator)
        return
    place, key = generator.choice(others if generator.random() < 0.5 else places)
    if isinstance(place, dict) and generator.random() < 0.4:
        del place[key]
    else:
        place[key] = generator.choice(_VALUES)


def _put(tensor: Tensor, generator: random.Random) -> Tensor:
    """One number is another."""
    if not tensor.numel():
        return tensor
    values = [0, -1, 1, 2**15, 65536, 2**31 - 1, -(2**31)]
    values += [float("nan"), float("inf"), 1e38, -1e38] if tensor.is_floating_point() else []
    if tensor.dtype in (torch.uint8, torch.int8, torch.bool):
        values = [0, 1]
    tensor = tensor.contiguous()
    tensor.view(-1)[generator.randrange(tensor.numel())] = generator.choice(values)
    return tensor


def _all(tensor: Tensor, generator: random.Random) -> Tensor:
    return torch.full_like(tensor, generator.choice([0, 1, 2] if not tensor.is_floating_point() else [0.0, 1e30, -5.0]))


_TENSORS: list[Callable[[Tensor, random.Random], Tensor]] = [
    _put,
    _put,
    _all,
    lambda tensor, generator: tensor[:0] if tensor.dim() else tensor[None],
    lambda tensor, generator: tensor[:-1] if tensor.dim() else tensor[None],
    lambda tensor, generator: torch.cat([tensor, tensor]) if tensor.dim() else tensor[None],
    lambda tensor, generator: tensor[None],
    lambda tensor, generator: tensor.double(),
    lambda tensor, generator: tensor.long(),
    lambda tensor, generator: -tensor if tensor.dtype != torch.bool else tensor,
    lambda tensor, generator: tensor.to_sparse() if tensor.dim() else tensor,
    lambda tensor, generator: tensor.expand(2, *tensor.shape),
]


def _damaged(data: bytes, generator: random.Random) -> bytes:
    """Cut off, or with wrong bytes."""
    if generator.random() < 0.4:
        return data[: generator.randrange(len(data))]
    spoiled = bytearray(data)
    for _ in range(generator.randint(1, 20)):
        spoiled[generator.randrange(len(data))] = generator.randrange(256)
    return bytes(spoiled)
