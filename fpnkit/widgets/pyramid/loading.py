"""One image coded by one codec, for display.

Recently used objects stay loaded. Imports torch, so a panel imports this only when something is to be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from fpnkit.analysis.examples import thumbnail
from fpnkit.analysis.statistics import maps as shown
from fpnkit.analysis.statistics.loss import ErrorStatistics
from fpnkit.analysis.subject import CachedBench, Subject, bench_key, build_bench, load_subject
from fpnkit.codecs.coder import CodedImage
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detections
from fpnkit.detectors.device import CPU
from fpnkit.errors import RunError
from fpnkit.foundation.steps import Step, Tell, nobody
from fpnkit.geometry import ImageGeometry
from fpnkit.plots.maps import Photo
from fpnkit.pyramid import Pyramid, PyramidSpec
from fpnkit.runs import layout
from fpnkit.runs.trained import find_candidates

_BENCHES, _SUBJECTS, _IMAGES = 2, 6, 6  # that stay: a sweep and some images to go to and fro between

_DETECTOR, _CODEC, _IMAGE = "loading the detector", "loading the codec", "backbone and heads"
_CODING, _COUNTING = ("encoding", "decoding", "detecting"), "counting bits"  # the first three: `Bench.send`

Value = TypeVar("Value")


@dataclass(frozen=True)
class View:
    """Everything shown about one image and one codec, from a real file that was decoded again."""

    run: Path
    quality: float | None  # of a codec of several rates
    lmbda: float
    epoch: int  # of the best model
    model: str  # its hash
    split: str
    images: int  # of the split
    index: int
    title: str  # of the image
    photo: Photo
    spec: PyramidSpec
    geometry: ImageGeometry
    original: Pyramid
    decoded: Pyramid
    before: Detections
    after: Detections
    bits: pd.DataFrame | None  # estimated, at each position of the latents: `bits_map`; None: the codec hides them
    levels: pd.DataFrame  # level or `shared`, channels, payload_bits, estimated_bits, bpp of the payload, snr_db
    channels: pd.DataFrame  # level, channel, variance, mse, snr_db over this image
    file_bytes: int
    bpp: float  # of the file
    categories: Mapping[int, str]

    def boxes(self, threshold: float) -> pd.DataFrame:
        """Detections with at least this score before and after, in pixels of the image."""
        return shown.boxes(self.before, self.after, threshold, self.categories)

    def cells(self, level: str, channel: int | None) -> pd.DataFrame:
        """A channel of a level, or the mean of all channels if None, before and after: `analysis.shown.channel_map`."""
        return shown.channel_map(self.original, self.decoded, self.spec, self.geometry, level, channel)


@dataclass(frozen=True)
class _Image:
    """What does not depend on the codec."""

    pixels: torch.Tensor
    photo: Photo
    features: Features
    before: Detections


@dataclass
class Loader:
    """Loads what a view needs, and caches some of it; networks run on the device."""

    device: torch.device = CPU
    _benches: dict[Hashable, CachedBench] = field(default_factory=dict)
    _subjects: dict[Hashable, Subject] = field(default_factory=dict)
    _images: dict[Hashable, _Image] = field(default_factory=dict)

    def view(self, run: Path, split: str, index: int, quality: float | None = None, tell: Tell = nobody) -> View:
        """A view with the newest best model of a run; an index beyond the last image means the last.

        `quality`: of a codec of several rates (default: the middle of the curve).

        Raises FpnkitError if the run or its model is missing, or data or weights are missing or changed.
        """
        if not layout.is_run_directory(run):
            raise RunError(f"{run}: not a run directory")
        config = find_candidates([str(run)], None, (), ())[0].config
        key = bench_key(config, split)
        best = (run / layout.BEST_MODEL).stat()
        stamp = (key, run, best.st_mtime_ns, best.st_size, best.st_ino)
        missing = [_DETECTOR] * (key not in self._benches) + [_CODEC] * (stamp not in self._subjects)
        missing += [_IMAGE] * ((key, index) not in self._images)
        steps = _Steps(tell, (key, str(config.codec)), (*missing, *_CODING, _COUNTING))
        bench = _kept(
            self._benches, _BENCHES, key, lambda: steps.do(_DETECTOR, build_bench, config, split, 1, self.device)
        )
        subject = _kept(self._subjects, _SUBJECTS, stamp, lambda: steps.do(_CODEC, load_subject, run, bench))
        if quality is not None:
            subject = replace(subject, quality=quality)
        index = min(index, len(bench.images) - 1)
        image = _kept(self._images, _IMAGES, (key, index), lambda: _look(bench, index, steps))
        return _through(subject, image, split, index, steps)


@dataclass(frozen=True)
class _Steps:
    """Tells what is done for a view, and what is still to come."""

    tell: Tell
    kind: Hashable  # of views that take equally long
    plan: tuple[str, ...]

    def __call__(self, step: Step) -> None:
        then = self.plan[self.plan.index(step.what) + 1 :] if step.what in self.plan else ()
        self.tell(replace(step, kind=self.kind, then=then))

    def do(self, what: str, function: Callable[..., Value], *arguments: Any) -> Value:
        self(Step(what))
        return function(*arguments)


def _kept(kept: dict[Hashable, Value], most: int, key: Hashable, make: Callable[[], Value]) -> Value:
    """The cached value for the key, created if missing, and now the most recent."""
    value = kept.pop(key) if key in kept else make()
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
    return value


def _look(bench: CachedBench, index: int, tell: Tell) -> _Image:
    tell(Step(_IMAGE, detail=f"on image {index + 1}"))
    sample, features = bench.images[index], bench.cached(index)
    size = (sample.image.shape[1], sample.image.shape[2])
    photo = Photo(index, sample.image_id, np.asarray(thumbnail(sample.image)), size)
    return _Image(sample.image, photo, features, bench.detect(features))


@torch.no_grad()
def _through(subject: Subject, image: _Image, split: str, index: int, tell: Tell) -> View:
    bench, trained, features = subject.bench, subject.trained, image.features
    codec, sent = trained.codec, subject.send(image.pixels, features, tell)
    tell(Step(_COUNTING))
    coded, decoded = sent.coded, sent.features.pyramid
    errors = ErrorStatistics()
    errors.update(features.pyramid, decoded)
    return View(
        run=subject.run,
        quality=subject.quality,
        lmbda=subject.lmbda,
        epoch=trained.epoch,
        model=trained.hash,
        split=split,
        images=len(bench.images),
        index=index,
        title=bench.images.title(index),
        photo=image.photo,
        spec=codec.spec,
        geometry=features.geometry,
        original=features.pyramid,
        decoded=decoded,
        before=image.before,
        after=sent.detections,
        bits=_bits(subject, features),
        levels=_levels(coded, codec.spec, features.original_pixels, errors.levels(codec.standardiser.variance())),
        channels=errors.channels(),
        file_bytes=len(coded.data),
        bpp=8 * len(coded.data) / features.original_pixels,
        categories=bench.categories,
    )


def _bits(subject: Subject, features: Features) -> pd.DataFrame | None:
    coded = subject.coded_latents(features)
    if coded is None:
        return None
    return shown.bits_map(coded, subject.trained.codec.spec, features.pyramid, features.geometry)


def _levels(coded: CodedImage, spec: PyramidSpec, pixels: float, errors: pd.DataFrame) -> pd.DataFrame:
    channels = {level.name: level.channels for level in spec.levels}
    names = [*channels, *(name for name in coded.bits_level if name not in channels)]
    columns = {"channels": channels, "payload_bits": coded.bits_level, "estimated_bits": coded.bits_estimated}
    table = pd.DataFrame({key: [values.get(name) for name in names] for key, values in columns.items()})
    table.insert(0, "level", names)
    table["bpp"] = table["payload_bits"] / pixels
    return table.merge(errors[["level", "snr_db"]], on="level", how="left")
