"""Whether what a file holds has the form of what is here, asked before anything of it is restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fpnkit.errors import WeightsError

_FREE = ("lr", "params")  # of an optimizer's groups: all else is settings, which are the run's own
MOST = 2**53  # of anything counted


def require(condition: bool, where: str, what: str) -> None:
    """Raise `WeightsError` unless it is so."""
    if not condition:
        raise WeightsError(f"{where}: required {what}, found something else")


def require_tensor(found: Any, where: str, like: Tensor | None = None, *, finite: bool = True) -> None:
    """Plain numbers in memory of their own; of the type and shape of `like`."""
    plain = isinstance(found, Tensor) and found.layout == torch.strided and found.device.type == "cpu"
    require(plain and not found.is_quantized and not _shares(found), where, "numbers of a plain tensor")
    if like is not None:
        form = f"{str(like.dtype).removeprefix('torch.')} {list(like.shape)}"
        require((found.dtype, found.shape) == (like.dtype, like.shape), where, form)
    if finite and found.is_floating_point():
        require(bool(found.isfinite().all()), where, "finite numbers")


def require_optimizer(found: Any, own: Optimizer, where: str) -> None:
    """The state of this optimizer, whose settings it has."""
    require(isinstance(found, Mapping) and {"state", "param_groups"} <= set(found), where, "that of an optimizer")
    groups, mine, states = found["param_groups"], own.state_dict()["param_groups"], found["state"]
    fits = isinstance(groups, list) and len(groups) == len(mine) and all(isinstance(each, Mapping) for each in groups)
    require(fits, f"{where}.param_groups", f"{len(mine)} groups")
    for number, (group, ours) in enumerate(zip(groups, mine, strict=True)):
        inside = f"{where}.param_groups.{number}"
        require(is_number(group.get("lr")), f"{inside}.lr", "a number")
        require(_equal(group.get("params"), ours["params"]), f"{inside}.params", "all parameters")
        for name in sorted(set(map(str, group)) & set(ours) - set(_FREE)):  # other versions of torch have others
            require(_equal(group[name], ours[name]), f"{inside}.{name}", str(ours[name]))
    parameters = [parameter for group in own.param_groups for parameter in group["params"]]
    known = {index: parameter for index, parameter in enumerate(parameters)}
    require(isinstance(states, Mapping) and set(states) <= set(known), f"{where}.state", "one for each parameter")
    for index, each in states.items():
        _require_of_parameter(each, known[index], "betas" in mine[0], f"{where}.state.{index}")


def is_number(value: Any) -> bool:
    """Of Python's, NaN included."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """A whole number from 0 on."""
    return type(value) is int and 0 <= value < MOST


def _require_of_parameter(found: Any, parameter: Tensor, adam: bool, where: str) -> None:
    names = ("step", "exp_avg", "exp_avg_sq") if adam else ("momentum_buffer",)
    require(isinstance(found, Mapping) and set(found) == set(names), where, ", ".join(names))
    for name, value in found.items():
        if name == "step":
            require_tensor(value, f"{where}.step", torch.zeros(()))
            require(0 <= float(value) < MOST, f"{where}.step", "a number of steps")
        elif value is not None or adam:  # the momentum before the first step
            require_tensor(value, f"{where}.{name}", parameter, finite=False)
            least = "exp_avg_sq" if name == "exp_avg_sq" else ""
            require(not least or not bool((value < 0).any()), f"{where}.{name}", "squares")


def _equal(found: Any, own: Any) -> bool:
    """Without asking a tensor."""
    if isinstance(own, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(own) and all(map(_equal, found, own))
    return isinstance(found, bool | int | float | str | None) and found == own


def _shares(tensor: Tensor) -> bool:
    """Whether several of its numbers lie in one place, where they could not be written."""
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
