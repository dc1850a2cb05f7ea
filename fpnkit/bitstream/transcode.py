"""Images → `.fpn` files → features."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from fpnkit import container
from fpnkit.bitstream.wanted import Wanted
from fpnkit.codecs.at_rate import highest_within
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec, on_device
from fpnkit.codecs.sender import SenderSearch, require_searchable
from fpnkit.container import StreamFile
from fpnkit.data.files import problems_of_files, read_rgb
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.device import CPU
from fpnkit.detectors.one_image import features_of
from fpnkit.errors import DataError, UserError
from fpnkit.foundation.files import write_bytes
from fpnkit.metrics.rate import bpp

Work = Callable[[Path, Path], str]  # makes the second file of the first, and says what it made


def encoder(checkpoint: Path, images: Sequence[Path], wanted: Wanted, device: torch.device = CPU) -> Work:
    """From image files to `.fpn` files. Checks everything first that does not need the detector."""
    problems = problems_of_files(images, [str(path) for path in images])
    if problems:
        raise DataError("\n".join(problems))
    trained = on_device(load_codec(checkpoint), f"run {checkpoint.parent}", device)
    try:
        wanted.require_fit(trained.config)
        if wanted.search_steps is not None:
            require_searchable(trained)
    except UserError as error:
        raise UserError(f"run {checkpoint.parent}: {error}") from None
    sender = _Sender(trained, _detector(trained, checkpoint, device), wanted, device)

    def work(source: Path, target: Path) -> str:
        image = read_rgb(source, upright=True)
        made = sender.encode(image, source)
        write_bytes(target, made.data)
        quality = "" if made.quality is None else f", quality {made.quality:g}"
        return f"{len(made.data)} bytes, {bpp(8 * len(made.data), image[0].numel()):.4f} bpp{quality}"

    return work


@dataclass(frozen=True)
class _Made:
    data: bytes
    quality: float | None


@dataclass(frozen=True)
class _Sender:
    """Images → coded files at the rate that is wanted."""

    trained: TrainedCodec
    detector: Detector
    wanted: Wanted
    device: torch.device

    @torch.no_grad()
    def encode(self, image: Tensor, path: Path) -> _Made:
        """Raises `StreamError`, or `UserError` for a target that is out of reach, with the name of the file."""
        features = features_of(self.detector, image)
        source = CoderInput(image, features.pyramid.to(self.device), features.geometry)
        try:
            quality = self._quality(source)
            return _Made(self._data(source, quality), quality)
        except UserError as error:
            raise type(error)(f"{path}: {error}") from error

    def _quality(self, source: CoderInput) -> float | None:
        """As asked for, or the highest within the target."""
        target, curve = self.wanted.target, self.trained.config.qualities
        if target is None or curve is None:
            return self.wanted.rounded_quality
        pixels = source.image[0].numel()

        def sizes(qualities: Sequence[float]) -> list[float]:
            return [target.size(len(self._data(source, each)), pixels) for each in qualities]

        return highest_within(sizes, curve, target.most, target.unit).quality

    def _data(self, source: CoderInput, quality: float | None) -> bytes:
        steps = self.wanted.search_steps
        search = None if steps is None else SenderSearch(self.trained, self.detector, steps)
        return LearnedCoder(self.trained, quality, search).encode(source).data


def decoder(checkpoint: Path, files: Sequence[Path], device: torch.device = CPU, most: int | None = None) -> Work:
    """From `.fpn` files to `.safetensors` files of at most so many values. Checks everything first but payloads."""
    coder = LearnedCoder(on_device(load_codec(checkpoint), f"run {checkpoint.parent}", device))
    for path in files:
        stream = container.read_file(path)
        with container.naming(path):
            coder.check(stream)
            coder.require_values(stream, most)

    def work(source: Path, target: Path) -> str:
        stream = container.read_file(source)
        with container.naming(source):
            data = _features(coder, stream)
        write_bytes(target, data)
        return f"{len(data)} bytes"

    return work


def _detector(trained: TrainedCodec, checkpoint: Path, device: torch.device) -> Detector:
    detector = build_detector(trained.config.detector)
    trained.require_detector(str(checkpoint), detector.name, detector.fingerprint())
    detector.to(device)
    return detector


def _features(coder: LearnedCoder, stream: StreamFile) -> bytes:
    """safetensors with a single metadata entry, because several would be in random order."""
    received = coder.decode_stream(stream)
    about = {"codec": stream.codec, "model_hash": stream.model_hash, "geometry": asdict(received.geometry)}
    levels = {name: level.cpu().contiguous() for name, level in received.pyramid.items()}
    data: bytes = save(levels, {"fpnkit": json.dumps(about)})
    return data
