"""How another process builds what an evaluation needs: small values that can be sent to it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch

from fpnkit.codecs.coder import Coder
from fpnkit.config.schema import DetectorSettings, ImageSource
from fpnkit.data.build import build_image_set
from fpnkit.data.labels import Relabeled
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector
from fpnkit.errors import FpnkitError, UserError
from fpnkit.evaluation.bench import Bench
from fpnkit.foundation.workers import LostWorkerError, in_order
from fpnkit.runs.results import Matching, Part

Task = TypeVar("Task")
Result = TypeVar("Result")


class CoderRecipe(Protocol):
    """Builds a coder where it is needed."""

    def build(self, detector: Detector) -> Coder:
        """With a detector on the device to code on."""
        ...


@dataclass(frozen=True)
class BenchRecipe:
    """A detector and images that another process has already checked."""

    detector: DetectorSettings
    images: ImageSource
    matching: Matching
    fingerprint: str
    device: torch.device
    parts: tuple[Part, ...] = ()  # as in `Bench`

    def build(self) -> Bench:
        """Raises `UserError` if the detector is not the same in every process."""
        detector = build_detector(self.detector)
        if (found := detector.fingerprint()) != self.fingerprint:
            raise UserError(
                f"detector {detector.name}: required the fingerprint {self.fingerprint[:8]} in every process, found "
                f"{found[:8]}; with --workers 1 there is only one"
            )
        detector.to(self.device)
        images = build_image_set(self.images, self.parts)
        if self.matching.changes:
            images = Relabeled(images, self.matching, detector.class_names)
        return Bench(detector, images, found, device=self.device, parts=self.parts)


@dataclass(frozen=True)
class StationRecipe:
    """Builds a `Station`; see there."""

    coder: CoderRecipe
    folder: Path
    variance: dict[str, float]


def spread(
    make: Callable[[], Callable[[Task], Result]], tasks: Iterable[Task], workers: int
) -> Generator[Result, None, None]:
    """`make()(task)` of each task in their order, here if there is one worker, else in as many processes.

    Raises `FpnkitError` if one of them is killed.
    """
    if workers == 1:
        with reproducible():
            work = make()
            for task in tasks:
                yield work(task)
        return
    try:
        yield from in_order(_Reproducible(make), tasks, workers)
    except LostWorkerError as error:
        raise FpnkitError(f"{error}; what was measured is kept, and the same command goes on") from None


@dataclass(frozen=True)
class _Reproducible(Generic[Task, Result]):
    make: Callable[[], Callable[[Task], Result]]

    def __call__(self) -> Callable[[Task], Result]:
        reproducible().__enter__()  # as long as the process lives
        return self.make()


@contextmanager
def reproducible() -> Iterator[None]:
    """Sums in the same order in every process, on every number of cores: one thread; on CUDA, no choice by time.

    Nor does CUDA round to fewer digits than the CPU.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)
