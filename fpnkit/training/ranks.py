"""The processes of one training, as the loop sees them: alone, or several, each with its share of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from fpnkit.errors import ConfigError, FpnkitError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")


class RankLost(FpnkitError):
    """Another process of this training failed or ended, so that it cannot go on."""


class Ranks:
    """One process alone. `torchrun.Group` has the same methods for several.

    All processes must call its methods in the same order, but for `share`, `fail` and those that begin with `require`.
    Each raises `RankLost` if another process cannot answer any more.
    """

    rank = 0  # this process; only 0 writes the run's files and speaks to the user
    size = 1
    waited_seconds = 0.0  # for the others, so far

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a batch."""
        count = len(items) // self.size
        return items[self.rank * count : (self.rank + 1) * count]

    def require_batch(self, batch_size: int, items: int | None = None) -> None:
        """Raise `ConfigError` unless all can have equal parts of every batch; `items`: there are in an epoch."""
        if batch_size % self.size:
            required = f"a multiple of the number of processes, {self.size}"
            raise ConfigError([f"training.batch_size: required {required}; found {batch_size}"])
        if self.size > 1 and items is not None and items < batch_size:
            raise ConfigError(
                [f"training.batch_size: required at most {items}, as many as an epoch has; found {batch_size}"]
            )

    def require_device(self, device: torch.device) -> None:
        """Raise `UserError` unless each process of a machine can have a device of its own."""

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """All succeed or none: rank 0 raises the first error of any, the others end quietly with its exit code.

        What happens within must not need the others.
        """
        yield

    def average(self, gradients: Iterable[Tensor]) -> None:
        """Set each to its mean over all processes."""

    def largest(self, value: int) -> int:
        """Of all processes."""
        return value

    def joined(self, share: Tensor) -> Tensor:
        """The whole batch of what each has its part of, along the first axis; without gradients."""
        return share.detach()

    def gathered(self, value: T) -> list[T]:
        """One of each process, on all of them; tensors must be on the CPU."""
        return [value]

    def first(self, value: T) -> T:
        """Rank 0's, with tensors on the CPU."""
        return value

    def draw_apart(self, key: Sequence[int]) -> None:
        """Seed torch's generator, in each process in its own way, where several draw samples of their own."""

    def fail(self, reason: str, error: Exception) -> None:
        """Leave the reason to the others, which raise `RankLost` with it when this process ends."""

    def spread(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        """`work` of each item, shared out; the results of all, in order, on all processes."""
        return [work(item) for item in items]


ALONE = Ranks()
