"""What detector and probes see of decoded pyramids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from fpnkit.codecs.coder import Coder, CoderInput
from fpnkit.detectors.base import Detections
from fpnkit.evaluation.task import Task
from fpnkit.foundation.progress import progress
from fpnkit.metrics.distortion import snr_db
from fpnkit.metrics.matches import average_precision_of
from fpnkit.metrics.matching import match
from fpnkit.metrics.rate import bpp
from fpnkit.probes.head import Probe, targets_of
from fpnkit.probes.tasks import Sums, added
from fpnkit.pyramid import Pyramid

UNCOMPRESSED = "uncompressed"


@dataclass(frozen=True)
class Sender:
    """A coder, and where it comes from."""

    coder: Coder
    run: str
    quality: float | None


@dataclass(frozen=True)
class Seen:
    """What is left of a set of images; the first row of a table is that without a codec."""

    codec: str
    run: str | None
    quality: float | None
    bpp: float | None  # of file bytes
    map: float | None  # of the detector that the codec serves
    scores: Mapping[str, float]  # of the probes, by name
    snr_db: float | None  # of standardized features, the mean of all levels' errors


@dataclass
class _Sums:
    bytes: int = 0
    errors: list[float] = field(default_factory=list)
    detections: list[Detections] = field(default_factory=list)
    probes: dict[str, list[Sums]] = field(default_factory=dict)

    def ask(self, probes: Mapping[str, Probe], pyramid: Pyramid, targets: Mapping[str, Tensor]) -> None:
        for name, probe in probes.items():
            self.probes.setdefault(name, []).append(probe.sums(pyramid, targets[name]))


def look(task: Task, senders: Sequence[Sender], probes: Mapping[str, Probe]) -> list[Seen]:
    """Code all images of the task with each sender, and ask detector and probes; the first row is without a codec."""
    sums = [_Sums() for _ in range(len(senders) + 1)]
    pixels = 0
    for index in progress(range(len(task.images)), "images"):
        sample = task.images[index]
        features = task.features(sample)
        source = CoderInput(sample.image, features.pyramid, features.geometry)
        pixels += sample.image.shape[1] * sample.image.shape[2]
        sums[0].detections.append(task.reference.detections[index])
        targets = {name: targets_of(probe.task, sample, features, task.detector.spec) for name, probe in probes.items()}
        sums[0].ask(probes, features.pyramid, targets)
        for sender, sum_ in zip(senders, sums[1:], strict=True):
            sent = task.send(sender.coder, source)
            sum_.bytes += len(sent.coded.data)
            sum_.detections.append(sent.detections)
            sum_.errors.append(_error(task, source.pyramid, sent.features.pyramid))
            sum_.ask(probes, sent.features.pyramid, targets)
    rows = [Seen(UNCOMPRESSED, None, None, None, _map(task, sums[0]), _scores(sums[0], probes), None)]
    for sender, sum_ in zip(senders, sums[1:], strict=True):
        rate, error = bpp(8 * sum_.bytes, pixels), sum(sum_.errors) / len(sum_.errors)
        scores = _scores(sum_, probes)
        rows.append(Seen(sender.coder.name, sender.run, sender.quality, rate, _map(task, sum_), scores, snr_db(error)))
    return rows


def _error(task: Task, original: Pyramid, decoded: Pyramid) -> float:
    """The mean of the levels' standardized squared errors."""
    variance = task.reference.variance
    errors = [(decoded[name] - level).square().mean().item() / variance[name] for name, level in original.items()]
    return sum(errors) / len(errors)


def _map(task: Task, sums: _Sums) -> float | None:
    return average_precision_of(match(task.reference.truth, sums.detections)).map


def _scores(sums: _Sums, probes: Mapping[str, Probe]) -> dict[str, float]:
    return {name: probe.task.score(added(sums.probes[name])) for name, probe in probes.items()}
