"""One image on its way through all coders, in whichever process."""

from __future__ import annotations

import resource
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fpnkit.codecs.coder import CodedImage, Coder, CoderInput
from fpnkit.detectors.base import Detections
from fpnkit.errors import FpnkitError, StorageError
from fpnkit.evaluation.bench import Bench, Transmission
from fpnkit.evaluation.recipes import BenchRecipe, StationRecipe
from fpnkit.foundation.files import is_machine_error
from fpnkit.metrics.coco_format import detections_to_coco
from fpnkit.metrics.distortion import snr_db
from fpnkit.pyramid import Pyramid
from fpnkit.runs.results import ImageRow

KeepStreams = Literal["none", "some", "all"]
SOME_STREAMS = 20  # images

# A payload further from the estimate than this is flagged.
_GAP_SHARE, _GAP_BYTES = 0.01, 8


@dataclass(frozen=True)
class Station:
    """A coder at work."""

    coder: Coder
    folder: Path  # of its streams
    variance: Mapping[str, float]  # of each level, the reference for SNR


@dataclass(frozen=True)
class Errand:
    """An image, and the stations that wait for it."""

    index: int
    stations: tuple[int, ...]
    detections: Detections  # on uncompressed features


@dataclass(frozen=True)
class Measured:
    """One coder on one image."""

    row: Mapping[str, Any]
    boxes: Sequence[Mapping[str, Any]]  # as in a results file


@dataclass(frozen=True)
class Fault:
    """What a coder raised."""

    text: str
    origin: str  # where; empty if the text says it all


@dataclass(frozen=True)
class Found:
    """An image that is done."""

    index: int
    of: Mapping[int, Measured | Fault]  # by station
    peak_memory_mb: float  # of the process


class ImageWork:
    """Features once, then every station that waits: encode, write, read, decode, heads."""

    def __init__(self, bench: Bench, stations: Sequence[Station], keep: KeepStreams) -> None:
        self._bench, self._stations, self._keep = bench, stations, keep

    def __call__(self, errand: Errand) -> Found:
        """Raises what detector, images or disk raise; what a coder raises is its result."""
        sample = self._bench.images[errand.index]
        features = self._bench.features(sample)
        source = CoderInput(sample.image, features.pyramid, features.geometry, errand.detections)
        kept = is_kept(self._keep, errand.index)
        found = {n: self._at(self._stations[n], sample.image_id, source, kept) for n in errand.stations}
        return Found(errand.index, found, peak_memory_mb())

    def _at(self, station: Station, image_id: int, source: CoderInput, kept: bool) -> Measured | Fault:
        path = station.folder / f"{image_id}{station.coder.suffix}"
        try:
            sent = self._bench.send(station.coder, source, path)
            row = _row(image_id, source, sent, station.variance)
        except StorageError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and is_machine_error(error):
                raise
            if isinstance(error, FpnkitError):
                return Fault(str(error), "")
            return Fault(f"{type(error).__name__}: {error}", traceback.format_exc().rstrip())
        finally:
            if not kept:
                path.unlink(missing_ok=True)
        return Measured(asdict(row), detections_to_coco(image_id, sent.detections))


@dataclass(frozen=True)
class ImageWorkRecipe:
    """Builds an `ImageWork` in another process."""

    bench: BenchRecipe
    stations: tuple[StationRecipe, ...]
    keep: KeepStreams

    def __call__(self) -> ImageWork:
        bench = self.bench.build()
        stations = [Station(each.coder.build(bench.detector), each.folder, each.variance) for each in self.stations]
        return ImageWork(bench, stations, self.keep)


def is_kept(keep: KeepStreams, index: int) -> bool:
    """Whether the coded files of an image stay on disk."""
    return keep == "all" or (keep == "some" and index < SOME_STREAMS)


def peak_memory_mb() -> float:
    """Peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, KiB elsewhere


def _row(image_id: int, source: CoderInput, sent: Transmission, variance: Mapping[str, float]) -> ImageRow:
    mse = _mse(source.pyramid, sent.features.pyramid)
    return ImageRow(
        image=image_id,
        width=source.image.shape[2],
        height=source.image.shape[1],
        bytes=len(sent.coded.data),
        bits_level=sent.coded.bits_level,
        bits_estimated=sent.coded.bits_estimated,
        flagged=_flagged(sent.coded),
        mse=mse,
        snr_db={name: snr_db(value / variance[name]) for name, value in mse.items()},
        encode_seconds=sent.encode_seconds,
        decode_seconds=sent.decode_seconds,
    )


def _mse(original: Pyramid, decoded: Pyramid) -> dict[str, float]:
    """Only for levels that were decoded, in the same size: a detector that resizes an already scaled image may round
    differently.
    """
    return {
        name: float64(decoded[name] - level).square().mean().item()
        for name, level in original.items()
        if name in decoded and decoded[name].shape == level.shape
    }


def float64(values: Tensor) -> Tensor:
    """On the same device, or on the CPU for one that has no such numbers."""
    return (values.cpu() if values.device.type == "mps" else values).to(torch.float64)


def _flagged(coded: CodedImage) -> tuple[str, ...]:
    """Levels whose payload is far from the entropy model's estimate, in either direction."""
    return tuple(
        name
        for name, bits in coded.bits_estimated.items()
        if abs(coded.bits_level[name] - bits) > _GAP_SHARE * bits + 8 * _GAP_BYTES
    )
