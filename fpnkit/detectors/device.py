"""Where networks run."""

from __future__ import annotations

import torch

from fpnkit.errors import UserError

CPU = torch.device("cpu")


def device_of(setting: str, owner: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU; raises `UserError`, which names the `owner`, for a missing one."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if setting == "auto":
        return torch.device(next(name for name, available in there.items() if available))
    if not there[setting]:
        found = ", ".join(name for name, available in there.items() if available)
        raise UserError(f"{owner}: required {setting}, found only {found}")
    return torch.device(setting)


def measuring_device(setting: str, owner: str) -> torch.device:
    """As `device_of`, but `auto` is not MPS, which lacks the float64 that most codecs need."""
    device = device_of(setting, owner)
    return CPU if setting == "auto" and device.type == "mps" else device
