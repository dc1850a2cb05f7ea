"""A device that there is not: its tensors compute on the CPU, but with those of the CPU only where CUDA's would."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")  # which has no driver to ask
_aten = torch.ops.aten
_MOVING = (_aten.copy_.default,)
_INDEXED = (_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default, _aten._index_put_impl_.default)


class Elsewhere(Tensor):
    """A tensor on the device."""

    real_one: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.real_one = inner
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.tolist:
            return args[0].detach().cpu().tolist()
        if func is Tensor.new_tensor:
            return torch.tensor(args[1], dtype=args[0].dtype).to(args[0].device)
        with torch._C.DisableTorchFunctionSubclass():  # which would make what comes back to the CPU one of these
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


class _Mode(TorchDispatchMode):
    """For what makes or moves tensors."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    there = any(isinstance(each, Elsewhere) for each in tensors)
    asked = kwargs.get("device")
    if asked is not None:
        kwargs["device"] = torch.device("cpu")
    elif func not in _MOVING and there:
        fixed = tensors[:1] if func in _INDEXED else tensors
        if func in _INDEXED and isinstance(tensors[0], Elsewhere):
            fixed = [tensors[0], tensors[-1]] if func is not _aten.index.Tensor else fixed
        for each in fixed:
            if not isinstance(each, Elsewhere) and each.dim():
                raise RuntimeError(f"{func}: tensors of two devices")
    result = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if func._schema.is_mutable and isinstance(result, Tensor):
        return args[0]
    if there if asked is None else torch.device(asked).type == DEVICE.type:
        return tree_map(lambda each: Elsewhere(each) if isinstance(each, Tensor) else each, result)
    return result


def _inner(value: Any) -> Any:
    return value.real_one if isinstance(value, Elsewhere) else value


class _Made(TorchFunctionMode):
    """For what is made of numbers, which no mode below sees."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func not in (torch.tensor, torch.as_tensor) or "device" not in options:
            return func(*args, **options)
        device = options.pop("device")
        return func(*args, **options).to(device)


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Meanwhile the device is there."""
    with _Mode(), _Made(), patch("torch.autocast", lambda *_, **__: nullcontext()):  # which there is off anyway
        yield DEVICE
