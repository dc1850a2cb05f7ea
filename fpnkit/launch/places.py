"""How many trainings run side by side on this machine, and what each computes with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from fpnkit.config.schema import TrainingBase
from fpnkit.errors import UserError
from fpnkit.foundation import text
from fpnkit.foundation.machine import cores

AUTO = "auto"
_THREADS, _DEVICES = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"
_MEMORY_BYTES = 2_000_000_000  # of one training with a detector and a full batch


@dataclass(frozen=True)
class Place:
    """What one of several trainings computes with."""

    threads: int | None = None  # None: as many as torch takes by itself
    device: str | None = None  # a CUDA device, as CUDA_VISIBLE_DEVICES names it

    @property
    def environment(self) -> dict[str, str]:
        """Of its process."""
        threads = {} if self.threads is None or _THREADS in os.environ else {_THREADS: str(self.threads)}
        return threads if self.device is None else {**threads, _DEVICES: self.device}

    @property
    def told(self) -> str:
        """For people; empty if there is nothing to say."""
        return "" if self.device is None else f" on device {self.device}"


@dataclass(frozen=True)
class Places:
    """As many as trainings at a time."""

    each: tuple[Place, ...]
    why: str  # they are that many, for people; empty for one

    def __len__(self) -> int:
        return len(self.each)


def choose_places(jobs: str, devices: Sequence[str], training: TrainingBase, runs: int) -> Places:
    """`jobs`: a number, or `auto`; `devices`: of CUDA, one for each training; `runs`: that are to be trained.

    Raises `UserError` for a number below 1, and for devices that are not there.
    """
    if devices:
        return _on_devices(jobs, devices, training)
    if jobs == AUTO and training.device in ("auto", "cuda") and (found := _cuda_devices()):
        return _on_devices(AUTO, [str(number) for number in range(found)], training)
    all_cores = cores()
    if jobs == AUTO:
        room = max(1, psutil.virtual_memory().available // _MEMORY_BYTES)
        count = max(1, min(all_cores, room, runs))
        because = (
            f"{_counted(all_cores, 'core')}, {text.size(_MEMORY_BYTES)} of memory each, {_counted(runs, 'run')} to go"
        )
    else:
        count, because = number_of(jobs), f"--jobs {jobs}"
    if count == 1:
        return Places((Place(),), "")
    threads = max(1, all_cores // count)
    place = Place(threads)
    return Places((place,) * count, f"{count} trainings at a time, {_counted(threads, 'thread')} each: {because}")


def _on_devices(jobs: str, devices: Sequence[str], training: TrainingBase) -> Places:
    flag = f"--devices {','.join(devices)}"
    if len(set(devices)) < len(devices):
        raise UserError(f"{flag}: required each device once")
    if training.device not in ("auto", "cuda"):
        raise UserError(f"{flag}: required training.device auto or cuda, found {training.device}")
    found = _cuda_devices()
    beyond = [name for name in devices if name.isdigit() and int(name) >= found]
    if beyond or not found:
        raise UserError(f"{flag}: required CUDA devices of this machine, found {found or 'none'}")
    count = len(devices) if jobs == AUTO else number_of(jobs)
    if count > len(devices):
        raise UserError(f"--jobs {jobs}: required at most one training a device, {len(devices)}, found {count}")
    threads = max(1, cores() // count)
    each = tuple(Place(threads, name) for name in devices[:count])
    return Places(each, f"{_counted(count, 'training')} at a time, one a CUDA device: {', '.join(devices[:count])}")


def number_of(jobs: str) -> int:
    """Of trainings at a time. Raises `UserError` for anything but a number from 1 on."""
    if not jobs.isdigit() or int(jobs) < 1:
        raise UserError(f"--jobs {jobs}: required a number from 1 on, or {AUTO}")
    return int(jobs)


def _cuda_devices() -> int:
    import torch  # not for those who name no device

    return torch.cuda.device_count()


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
