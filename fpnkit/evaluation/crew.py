"""How many processes an evaluation is spread over."""

from __future__ import annotations

import torch

from fpnkit.errors import UserError
from fpnkit.foundation.machine import cores

# Images times coders: with small images and a fast coder they take as long as a start, else longer.
_WORTH_A_WORKER = 100
_MOST_ON_A_DEVICE = 4  # each has a context and all weights on it


def count_of_workers(asked: int | None, pieces: int, device: torch.device, *, portable: bool) -> int:
    """`asked`, or as many as help with so many `pieces`, images times coders.

    Raises `UserError` if several are asked for and detector and coders are not `portable` to other processes.
    """
    if asked is not None and asked > 1 and not portable:
        raise UserError(f"--workers: required 1 for a detector that is an object of this process, found {asked}")
    if not portable:
        return 1
    if asked is not None:
        return max(1, min(asked, pieces))
    most = cores() if device.type == "cpu" else min(cores(), _MOST_ON_A_DEVICE)
    return max(1, min(most, pieces // _WORTH_A_WORKER))
