"""Noise in place of rounding, the same for every image of a batch, however many processes share the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_share: ContextVar[tuple[int, int]] = ContextVar("share", default=(0, 1))


@contextmanager
def share_of_batch(number: int, of: int) -> Iterator[None]:
    """What goes through a codec meanwhile is this part of a batch that has `of` equal ones."""
    before = _share.set((number, of))
    try:
        yield
    finally:
        _share.reset(before)


def drawn_for_batch(like: Tensor, draw: Callable[[Tensor], Tensor], axis: int = 0) -> Tensor:
    """`draw(like)`; for a part of a batch its part of what is drawn for the whole. `axis` is that of images."""
    number, of = _share.get()
    if of == 1:
        return draw(like)
    return draw(torch.cat([like.detach()] * of, axis)).chunk(of, axis)[number]
