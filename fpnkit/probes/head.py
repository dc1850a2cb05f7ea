"""The small head of a probe, and its training on uncompressed features."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpnkit.codecs.calibration import Standardizer
from fpnkit.data.images import ImageSet, Sample
from fpnkit.data.windows import Features
from fpnkit.probes.tasks import PROBES, ProbeTask, Sums, on_places
from fpnkit.pyramid import Pyramid, PyramidSpec

_CHANNELS = 64
_BATCH = 4  # images, of any sizes: their gradients are summed
_LEARNING_RATE = 1e-3


class Head(nn.Module):
    """Each level 1x1 to 64 channels, summed at the finest level's size, then two 3x3 and one 1x1: 0.1 M parameters."""

    def __init__(self, standardiser: Standardizer, spec: PyramidSpec) -> None:
        super().__init__()
        self.standardiser = standardiser.requires_grad_(False)
        self.inputs = nn.ModuleDict({level.name: nn.Conv2d(level.channels, _CHANNELS, 1) for level in spec.levels})
        middle = (nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1) for _ in range(2))
        layers = itertools.chain.from_iterable((nn.GELU(), layer) for layer in middle)
        self.body = nn.Sequential(*layers, nn.GELU(), nn.Conv2d(_CHANNELS, 1, 1))

    def forward(self, pyramid: Pyramid) -> Tensor:
        """(batch, height, width) of the finest level."""
        standard = self.standardiser(pyramid)
        size = standard[next(iter(self.inputs))].shape[-2:]
        levels = [F.interpolate(layer(standard[name]), size, mode="bilinear") for name, layer in self.inputs.items()]
        predicted: Tensor = self.body(torch.stack(levels).sum(0))
        return predicted[:, 0]


@dataclass(frozen=True)
class Probe:
    """A task and the head that was trained for it."""

    task: ProbeTask
    head: Head

    @torch.no_grad()
    def sums(self, pyramid: Pyramid, target: Tensor) -> Sums:
        """Of one image; `target` as `targets_of` gives it."""
        known = ~target.isnan()
        return self.task.sums(self.head(pyramid)[0][known], target[known])


def targets_of(task: ProbeTask, sample: Sample, features: Features, spec: PyramidSpec) -> Tensor:
    """(height, width) of the finest level; NaN where it is not known."""
    return on_places(task.target(sample, features.geometry), features.pyramid.sizes[spec.names[0]])


def train_probes(
    load: Callable[[int], Features],
    indices: Sequence[int],
    images: ImageSet,
    standardiser: Standardizer,
    spec: PyramidSpec,
    seed: int,
    steps: int,
    progress: Callable[[], object] = lambda: None,
) -> dict[str, Probe]:
    """One for each task that the images have labels for, after `steps` steps; `progress` is called at each.

    `load` gives uncompressed features by index.
    """
    torch.manual_seed(seed)
    tasks = {name: task for name, task in PROBES.items() if images.categories or not task.labeled}
    probes = {name: Probe(task, Head(standardiser, spec)) for name, task in tasks.items()}
    weights = [weight for probe in probes.values() for weight in probe.head.parameters()]
    optimizer = torch.optim.Adam(weights, _LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    targets: dict[tuple[str, int], Tensor] = {}
    order = _endless(indices, seed)
    for _ in range(steps):
        optimizer.zero_grad()
        for index in itertools.islice(order, _BATCH):
            features = load(index)
            for name, probe in probes.items():
                if (name, index) not in targets:
                    targets[name, index] = targets_of(probe.task, images[index], features, spec)
                _backward(probe, features.pyramid, targets[name, index])
        optimizer.step()
        schedule.step()
        progress()
    return probes


def _endless(indices: Sequence[int], seed: int) -> Iterator[int]:
    """All of them again and again, each time in another order."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.permutation(indices).tolist()


def _backward(probe: Probe, pyramid: Pyramid, target: Tensor) -> None:
    known = ~target.isnan()
    if known.any():
        loss = probe.task.loss(probe.head(pyramid)[0][known], target[known]) / _BATCH
        loss.backward()  # type: ignore[no-untyped-call]
