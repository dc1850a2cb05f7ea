"""Several processes, started by `torchrun`, that train as one.

Gradients are averaged explicitly rather than by DistributedDataParallel: the codec's own loss of its quantiles needs no
averaging, the exported model is a plain copy, and one buffer in one order makes the sums of a resumed training the same
bit for bit, where DDP's buckets change after the first step.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TextIO, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from fpnkit.errors import FpnkitError, UserError
from fpnkit.foundation.process_record import VARIABLE as RECORD
from fpnkit.foundation.processes import host_name
from fpnkit.training.ranks import RankLost, Ranks

T = TypeVar("T")
R = TypeVar("R")

# A process that ends is noticed at once; this is for one that hangs, or a network that is gone. Meanwhile rank 0 may
# write figures or wait for a slow disk.
_TIMEOUT = timedelta(minutes=10)
_LAST_WORDS_SECONDS = 20.0  # torchrun kills what is left after 30
_FAILED, _TOLD = "failed", "told"


class Group(Ranks):
    """The processes of one `torchrun`."""

    def __init__(self, store: Store, rank: int, size: int, local_rank: int, local_size: int) -> None:
        self.rank, self.size, self.waited_seconds = rank, size, 0.0
        self._local_size = local_size
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local_rank % torch.cuda.device_count())
        # Small things go over gloo even beside GPUs: it notices at once when a process ends.
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(
            backend, store=PrefixStore("torch", store), rank=rank, world_size=size, timeout=_TIMEOUT
        )
        self._store = PrefixStore("fpnkit", store)
        self._agreements, self._failed = 0, False

    def require_device(self, device: torch.device) -> None:
        """Raise `UserError` unless each process of this machine can have a device of its own."""
        if device.type not in ("cpu", "cuda"):
            raise UserError(f"training.device: required cpu or cuda for several processes, found {device.type}")
        if device.type == "cuda" and torch.cuda.device_count() < self._local_size:
            required = f"a GPU for each of the {self._local_size} processes on {host_name()}"
            raise UserError(f"training.device: required {required}, found {torch.cuda.device_count()}")

    @contextmanager
    def agreed(self) -> Iterator[None]:
        error: Exception | None = None
        try:
            yield
        except KeyboardInterrupt:
            if self.leads:
                raise
            raise SystemExit(130) from None
        except Exception as found:
            error = found
        told = self._exchange(error)
        rank, first = next(((rank, each) for rank, each in enumerate(told) if each), (0, None))
        if first is None:
            return
        if error is not None and (self.leads or not isinstance(error, FpnkitError)):
            raise error
        if not self.leads:
            raise SystemExit(first["code"])
        kind = UserError if first["code"] == UserError.exit_code else FpnkitError
        raise kind(f"rank {rank}: {first['text']}")

    def _exchange(self, error: Exception | None) -> list[dict[str, Any] | None]:
        """By the store rather than by a collective: it may take hours, and a signal interrupts it."""
        text = str(error) if isinstance(error, FpnkitError) else f"{type(error).__name__}: {error}"
        code = error.exit_code if isinstance(error, FpnkitError) else FpnkitError.exit_code
        self._agreements += 1
        keys = [f"agreement {self._agreements} {rank}" for rank in range(self.size)]
        self._store.set(keys[self.rank], json.dumps(None if error is None else {"code": code, "text": text}))
        while not self._store.check(keys):
            time.sleep(0.02)
        return [json.loads(self._store.get(key)) for key in keys]

    def average(self, gradients: Iterable[Tensor]) -> None:
        parts = list(gradients)
        together = torch.cat([part.flatten() for part in parts])
        if together.is_cuda:
            self.largest(0)  # nccl, once entered, cannot be left: see first, by gloo, that all have come so far
        with self._waiting():
            dist.all_reduce(together)
        together /= self.size
        for part, mean in zip(parts, torch.split(together, [part.numel() for part in parts]), strict=True):
            part.copy_(mean.view_as(part))

    def largest(self, value: int) -> int:
        found = torch.tensor(value)
        with self._waiting():
            dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def joined(self, share: Tensor) -> Tensor:
        own = share.detach().cpu().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        with self._waiting():
            dist.all_gather(parts, own)
        return torch.cat(parts).to(share.device)

    def gathered(self, value: T) -> list[T]:
        parts: list[Any] = [None] * self.size
        with self._waiting():
            dist.all_gather_object(parts, value)
        return parts

    def first(self, value: T) -> T:
        buffer = io.BytesIO()
        if self.leads:
            torch.save(value, buffer)
        sent = [buffer.getvalue()]
        with self._waiting():
            dist.broadcast_object_list(sent, device=torch.device("cpu"))
        found: T = torch.load(io.BytesIO(sent[0]), map_location="cpu", weights_only=False)  # our own, a moment old
        return found

    def draw_apart(self, key: Sequence[int]) -> None:
        torch.manual_seed(int(np.random.SeedSequence([*key, self.rank]).generate_state(1)[0]))

    def spread(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        parts = self.gathered([work(item) for item in items[self.rank :: self.size]])
        return [parts[index % self.size][index // self.size] for index in range(len(items))]

    def fail(self, reason: str, error: Exception) -> None:
        self._failed = True
        with contextlib.suppress(RuntimeError):  # the store's process may be gone
            if not isinstance(error, RankLost) and not self._store.check([_FAILED]):
                self._store.set(_FAILED, f"rank {self.rank}: {reason}")

    def ended(self, command: Callable[[], int]) -> int:
        """The command's exit code; the caller ends the process, which is what gets the others out of a collective.

        torchrun ends all when the first one fails. In training they are prepared for that; before, all wait until rank
        0 has said why.
        """
        code = 1
        try:
            code = command()
            return code
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if not self._failed:
                with contextlib.suppress(RuntimeError):
                    if self.leads:
                        self._store.set(_TOLD, "")
                    deadline = time.monotonic() + _LAST_WORDS_SECONDS
                    while code and not self._store.check([_TOLD]) and time.monotonic() < deadline:
                        time.sleep(0.02)
                dist.destroy_process_group()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        except RuntimeError as error:
            raise RankLost(self._why(error)) from error
        finally:
            self.waited_seconds += time.monotonic() - start

    def _why(self, error: RuntimeError) -> str:
        with contextlib.suppress(RuntimeError):
            if self._store.check([_FAILED]):
                return self._store.get(_FAILED).decode()
        return f"another process of this training ended or does not answer: {str(error).splitlines()[0]}"


@contextmanager
def joined() -> Iterator[Group]:
    """The group that the environment names; meanwhile only rank 0 prints, and others' messages say whose they are."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store, _, _ = next(rendezvous("env://", rank, size, timeout=_TIMEOUT))
    local_rank, local_size = (int(os.environ.get(name, 0)) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    group = Group(store, rank, size, local_rank, local_size)
    if group.leads:
        yield group
        return
    os.environ.pop(RECORD, None)  # rank 0 writes it
    streams = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        sys.stdout, sys.stderr = nowhere, cast(TextIO, _Told(sys.stderr, f"rank {rank}: "))
        try:
            yield group
        finally:
            sys.stdout, sys.stderr = streams


class _Told:
    """A stream whose lines begin with the rank, and which is no terminal, so that no bars are drawn on it."""

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix, self._line = stream, prefix, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Never."""
        return False

    def write(self, text: str) -> int:
        """Whole lines at once, so that those of two processes do not mix."""
        *lines, self._line = (self._line + text).split("\n")
        self._stream.write("".join(f"{self._prefix}{line}\n" for line in lines))
        return len(text)
